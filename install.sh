#!/usr/bin/env bash
# Puts octopus-flasher onto this printer's host, brings it up to date, or takes it off again. What it changes, and how to
# take each thing back by hand: docs/install.md. The parts are in scripts/install/, one idea each.
set -Eeuo pipefail
trap 'printf "install.sh: failed at %s line %s: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR
folder=$(cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)

# For tests: what stands before /etc, /boot, /var and the like.
ROOT=${OCTOPUS_INSTALL_ROOT:-}

# shellcheck source=scripts/install/say.sh
. "$folder/scripts/install/say.sh"
# shellcheck source=scripts/install/files.sh
. "$folder/scripts/install/files.sh"
# shellcheck source=scripts/install/host.sh
. "$folder/scripts/install/host.sh"
# shellcheck source=scripts/install/instances.sh
. "$folder/scripts/install/instances.sh"
# shellcheck source=scripts/install/system.sh
. "$folder/scripts/install/system.sh"
# shellcheck source=scripts/install/moonraker.sh
. "$folder/scripts/install/moonraker.sh"
# shellcheck source=scripts/install/klipper.sh
. "$folder/scripts/install/klipper.sh"
# shellcheck source=scripts/install/settings.sh
. "$folder/scripts/install/settings.sh"
# shellcheck source=scripts/install/can.sh
. "$folder/scripts/install/can.sh"
# shellcheck source=scripts/install/pins.sh
. "$folder/scripts/install/pins.sh"
# shellcheck source=scripts/install/restarts.sh
. "$folder/scripts/install/restarts.sh"
# shellcheck source=scripts/install/uninstall.sh
. "$folder/scripts/install/uninstall.sh"

usage() {
  cat <<'END'
Usage: ./install.sh [options]            as the printer's user, without sudo

  --yes                 ask nothing: change what is to be changed, restart what is idle; arms nothing
  --dry-run             show every change and make none
  --board MODEL         the board on this printer, such as octopus-v1.1-f446
  --arm, --no-arm       allow flashing from the printer's screen, or forbid it
  --can BITRATE         write this host's CAN files, such as 1000000; the difference is shown first
  --pins                set the two pins' pulls at power-on in config.txt (Raspberry Pi)
  --printer-data DIR    a printer's folder; may be given several times (default: all that are found)
  --uninstall           take off what was put on; configuration and backups of firmware stay
  --purge               with --uninstall: those, too
  --help

Exit codes: 0 done, or nothing to change; 1 failed; 2 wrong usage; 3 refused, nothing was changed.
END
}

is_yes=no is_dry=no is_uninstall=no is_purge=no
board=ask arm=ask can_bitrate='' is_pins=no
asked_data=()
status=0
while [ $# -gt 0 ]; do
  case $1 in
    --yes) is_yes=yes ;;
    --dry-run) is_dry=yes ;;
    --uninstall) is_uninstall=yes ;;
    --purge) is_purge=yes ;;
    --arm) arm=yes ;;
    --no-arm) arm=no ;;
    --pins) is_pins=yes ;;
    --board | --can | --printer-data)
      [ $# -ge 2 ] || wrong_usage "$1 needs a value"
      case $1 in
        --board) board=$2 ;;
        --can) can_bitrate=$2 ;;
        *) asked_data+=("$2") ;;
      esac
      shift
      ;;
    --help | -h) usage && exit 0 ;;
    *) wrong_usage "$1 is no option" ;;
  esac
  shift
done
if [ "$is_purge" = yes ] && [ "$is_uninstall" = no ]; then wrong_usage '--purge goes with --uninstall'; fi
check_can_bitrate
check_board

refuse_wrong_host
find_instances
choose_primary
if [ "$is_uninstall" = yes ]; then
  uninstall
  say_end 'octopus-flasher is off this host.'
  exit 0
fi

refuse_wrong_pins
step 'This host'
install_packages
install_tree
join_groups
install_udev_rule
install_unit
step 'Printers'
for ((at = 0; at < ${#data_dirs[@]}; at++)); do
  say "${data_dirs[at]}"
  tell_moonraker "$at"
  tell_klipper "$at"
done
step 'Settings'
write_settings
arm_or_not
install_can
install_pins
note_commit
restart_printers
restart_daemon
say_end 'octopus-flasher is on this host.'
if [ "$is_dry" = no ]; then first_checks; fi
exit "$status"
