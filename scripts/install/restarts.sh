# shellcheck shell=bash
# What has to read something anew is restarted: Klipper and Moonraker never while the printer works or nobody can say.

ask_moonraker() { # INSTANCE QUESTION
  node_here "$folder/scripts/install/ask-moonraker.mjs" "${data_dirs[$1]}/comms/moonraker.sock" "$2" 2>/dev/null || true
}

restart_printers() {
  local at is_any=no
  for ((at = 0; at < ${#data_dirs[@]}; at++)); do
    if [ "${klipper_stale[at]}" = yes ] || [ "${moonraker_stale[at]}" = yes ]; then is_any=yes; fi
  done
  if [ "$is_any" = yes ]; then
    step 'Restarts'
    if [ "$is_yes" = no ] && [ "$is_dry" = no ] && ! is_agreed '  Restart Moonraker and Klipper where the printer is idle?'; then
      for ((at = 0; at < ${#data_dirs[@]}; at++)); do leave_restart "$at"; done
    else
      for ((at = 0; at < ${#data_dirs[@]}; at++)); do restart_instance "$at"; done
    fi
  fi
}

leave_restart() { # INSTANCE
  if [ "${klipper_stale[$1]}" = yes ]; then left "restart Klipper when the printer is idle (RESTART in Mainsail's console)"; fi
  if [ "${moonraker_stale[$1]}" = yes ]; then left "restart Moonraker when the printer is idle: sudo systemctl restart ${moonraker_units[$1]:-moonraker}"; fi
}

restart_instance() { # INSTANCE
  local state
  if [ "${klipper_stale[$1]}" = no ] && [ "${moonraker_stale[$1]}" = no ]; then return; fi
  if [ "$is_dry" = yes ]; then
    say "would restart Klipper and Moonraker of ${data_dirs[$1]}, if that printer is idle"
    return
  fi
  state=$(ask_moonraker "$1" state)
  case $state in
    idle | down) ;;
    busy) say "The printer of ${data_dirs[$1]} works: nothing is restarted." && leave_restart "$1" && return ;;
    *) say "Nobody says whether the printer of ${data_dirs[$1]} is idle: nothing is restarted." && leave_restart "$1" && return ;;
  esac
  if [ "${klipper_stale[$1]}" = yes ] && [ "$state" = idle ]; then reload_klipper "$1"; fi
  if [ "${moonraker_stale[$1]}" = yes ]; then
    if [ -z "${moonraker_units[$1]}" ]; then
      left "restart the Moonraker of ${data_dirs[$1]}: its unit was not found"
    else
      changed "restart ${moonraker_units[$1]}"
      as_root systemctl restart "${moonraker_units[$1]}"
    fi
  fi
}

# A line of ours that Klipper does not like is taken out again at once: a printer that worked before goes on working.
reload_klipper() { # INSTANCE
  local before after
  before=$(klippy_state "$1")
  changed "restart Klipper of ${data_dirs[$1]}"
  after=$(ask_moonraker "$1" reload-klipper)
  case $after in
    ready) return ;;
    busy | starting | down | '') left "restart Klipper when the printer is idle (RESTART in Mainsail's console)" && return ;;
  esac
  if [ "$before" != ready ] || [ "$is_uninstall" = yes ]; then
    say "Klipper is in state \"$after\", as it was \"$before\" before."
    return
  fi
  say "Klipper does not take the macros (state \"$after\"): the line is taken out of ${printer_cfgs[$1]} again."
  choose_macros "$1"
  take_back "${printer_cfgs[$1]}" user with_macros without_macros
  ask_moonraker "$1" reload-klipper >/dev/null
  left "the macros were not taken: see what Klipper says with [include $folder/macros/$macros.cfg]"
}

klippy_state() { # INSTANCE: ready only where it can be asked and is
  case $(ask_moonraker "$1" klippy) in ready) printf ready ;; *) printf 'not ready' ;; esac
}

# It waits for a job that runs: systemd gives it the time.
restart_daemon() {
  if [ "$is_dry" = yes ]; then
    if [ "$is_daemon_stale" = yes ]; then say 'would start the daemon anew'; fi
    return
  fi
  if systemctl is-active --quiet "$unit"; then
    if [ "$is_daemon_stale" = no ]; then return; fi
    changed "restart $unit"
    sudo systemctl restart "$unit" || leave_daemon
  else
    changed "start $unit"
    sudo systemctl start "$unit" || leave_daemon
  fi
}

leave_daemon() {
  status=1
  left "$unit does not start: journalctl -u $unit says why"
}

first_checks() {
  step 'First checks (octopus doctor)'
  "$folder/bin/octopus" doctor --printer-data "$primary" 2>&1 | sed 's/^/  /' || true
  step 'Next'
  say 'The two wires: octopus wiring, then octopus wiring --test'
  say "The word octopus: sudo ln -s $folder/bin/octopus /usr/local/bin/octopus, or $folder/bin/octopus"
  say 'In Mainsail: FLASH_OCTOPUS among the macros; without CONFIRM=1 it only shows its plan.'
}
