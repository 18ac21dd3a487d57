# shellcheck shell=bash
# This host: packages, the locked tree of npm, groups, the udev rule and the unit.

unit=octopus-flasher.service
unit_file=$ROOT/etc/systemd/system/$unit
rule_file=$ROOT/etc/udev/rules.d/70-octopus-flasher.rules
is_daemon_stale=no
are_units_new=no

# What Debian's packages have to bring: the names are in system_dependencies.json, which Moonraker reads, too.
install_packages() {
  if command -v npm >/dev/null; then return; fi
  local packages=(npm)
  # Node's own packages from elsewhere have another npm in them, and quarrel with Debian's.
  if ! command -v node >/dev/null; then packages=(nodejs npm); fi
  if [ "$is_dry" = no ]; then sudo apt-get update -q || say 'apt-get update failed; trying with what is known'; fi
  run_as_root "install ${packages[*]}" -- env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
    --no-install-recommends "${packages[@]}"
}

is_tree_complete() {
  [ -d "$folder/node_modules/commander" ] &&
    cmp -s -- "$folder/package-lock.json" "$folder/node_modules/.octopus-lock.json"
}

# By the launcher, as it repairs itself: beside the old one, and swapped.
install_tree() {
  # Nothing of this run stays in the user's own caches.
  export NODE_COMPILE_CACHE=$work/compiled
  if is_tree_complete; then return; fi
  changed "install the locked packages of npm into $folder/node_modules"
  if [ "$is_dry" = yes ]; then return; fi
  if [ ! -e "$folder/node_modules" ]; then note tree "$folder/node_modules"; fi
  npm_config_cache=$work/npm "$folder/bin/octopus" prepare ||
    fail 'the packages could not be installed' 'Is this host connected to the network? Then: ./install.sh again'
  is_tree_complete || fail 'the packages could not be installed' "See what npm says: cd $folder && npm ci"
}

has_group() { grep -q "^$1:" -- "$ROOT/etc/group"; }

# gpio: BOOT0 and reset; dialout: serial ports; plugdev: boards in DFU mode. Raspberry Pi OS has gpio, Debian has none and
# gives /dev/gpiochip* to root alone: the udev rule is for both.
join_groups() {
  local group has_joined=no
  if ! has_group gpio; then
    note new-group gpio
    run_as_root 'make a group gpio' -- groupadd --system gpio
  fi
  for group in gpio dialout plugdev; do
    if ! has_group "$group" && [ "$group" != gpio ]; then continue; fi
    case " $(id -nG "$user") " in *" $group "*) continue ;; esac
    note group "$group"
    run_as_root "make $user a member of $group" -- usermod -aG "$group" "$user"
    is_daemon_stale=yes
    has_joined=yes
  done
  if [ "$has_joined" = yes ]; then say 'Commands in a terminal have these groups after the next login; the daemon has them at once.'; fi
}

install_udev_rule() {
  cat -- "$folder/systemd/70-octopus-flasher.rules" >"$new"
  put "$rule_file" 644 root
  if [ "$is_put" = yes ] && [ "$is_dry" = no ]; then reload_udev; fi
}

# For boards that are plugged in now; for all others udev reads its rules anew by itself.
reload_udev() {
  if ! sudo udevadm control --reload || ! sudo udevadm trigger --action=change --subsystem-match=usb --subsystem-match=tty --subsystem-match=gpio; then
    left 'udev did not take the rule: plug the board in anew'
  fi
}

# Folders that the daemon writes to, as they really are: logs and config may be links to older places.
writable_folders() {
  local one name seen=' '
  for one in "$folder" "$primary" "$primary/comms" "$primary/logs" "$primary/octopus-flasher"; do
    name=$(readlink -m -- "$one")
    case "$name/" in "$folder/"?* | "$primary/"?*) continue ;; esac
    case $seen in *" -$name "*) ;; *) seen="$seen-$name " ;; esac
  done
  seen=${seen# }
  printf '%s' "${seen% }"
}

unit_content() {
  local units='moonraker.service klipper.service' one group=''
  for one in "${moonraker_units[@]}" "${klipper_units[@]}"; do
    if [ -n "$one" ]; then case " $units " in *" $one "*) ;; *) units="$units $one" ;; esac; fi
  done
  # Moonraker's rule for polkit lets this group start Klipper, with Moonraker dead, too. A group that is not there
  # would keep the unit from starting.
  if has_group moonraker-admin; then group=moonraker-admin; fi
  sed -e "s#@FOLDER@#$folder#g" -e "s#@USER@#$user#g" -e "s#@HOME@#$HOME#g" -e "s#@DATA@#$primary#g" \
    -e "s#@UNITS@#$units#g" -e "s#@WRITABLE@#$(writable_folders)#g" \
    -e "s#@ADMIN_GROUP@#$group#g" -e '/^SupplementaryGroups=$/d' -- "$folder/systemd/$unit.in"
}

install_unit() {
  # Moonraker looks for units when it starts, and only then.
  if [ ! -f "$unit_file" ]; then are_units_new=yes; fi
  unit_content >"$new"
  put "$unit_file" 644 root
  if [ "$is_put" = yes ]; then
    is_daemon_stale=yes
    if [ "$is_dry" = no ]; then as_root systemctl daemon-reload; fi
  fi
  if ! systemctl is-enabled --quiet "$unit" 2>/dev/null; then
    run_as_root "start $unit with the system" -- systemctl enable "$unit"
  fi
}
# Code that changed under a running daemon: git knows it.
commit() { git -C "$folder" rev-parse HEAD 2>/dev/null || true; }

note_commit() {
  local now
  now=$(commit)
  if [ -z "$now" ] || is_noted commit "$now"; then return; fi
  is_daemon_stale=yes
  unnote commit
  note commit "$now"
}
