# shellcheck shell=bash
# --uninstall: what is on the list goes, what was changed is as it was; the configuration and the backups of firmware stay,
# unless --purge takes them, too.

uninstall() {
  local at data
  step 'This host'
  stop_daemon
  step 'Printers'
  for ((at = 0; at < ${#data_dirs[@]}; at++)); do
    say "${data_dirs[at]}"
    forget_printer "$at"
  done
  step 'System'
  uninstall_can
  uninstall_pins
  forget_system
  restart_printers
  if [ "$is_purge" = yes ]; then
    step 'Everything else'
    purge
  elif [ -f "$(manifest)" ]; then
    if [ -z "$(copies)" ]; then take_away "$(manifest)" user; fi
    say "Kept: configuration and backups of firmware ($primary/octopus-flasher)."
    copies | sed 's/^/Kept, since somebody has changed the file since: /'
  fi
}

stop_daemon() {
  if [ ! -f "$unit_file" ]; then return; fi
  run_as_root 'stop the daemon; a job that runs is waited for' -- systemctl disable --now "$unit"
}

forget_printer() { # INSTANCE
  local data=${data_dirs[$1]} cfg=${printer_cfgs[$1]} conf=${moonraker_confs[$1]} before=$changes
  klipper_stale[$1]=no moonraker_stale[$1]=no
  choose_macros "$1"
  take_back "$cfg" user with_macros without_macros
  if [ "$changes" -ne "$before" ]; then klipper_stale[$1]=yes; fi
  before=$changes
  take_back "$conf" user with_updates without_updates
  take_back "$data/moonraker.asvc" user with_service without_service
  take_away "$data/config/$UPDATES" user
  if [ "$changes" -ne "$before" ]; then moonraker_stale[$1]=yes; fi
  forget_sidebar "$data/config/.theme/navi.json"
}

forget_sidebar() { # FILE
  if [ ! -f "$1" ]; then return; fi
  if is_noted file "$1" && with_sidebar </dev/null 2>/dev/null | cmp -s -- - "$1"; then
    take_away "$1" user
  else
    take_back "$1" user with_sidebar without_sidebar
  fi
  if [ "$is_dry" = no ] && is_noted folder "${1%/*}"; then rmdir -- "${1%/*}" 2>/dev/null || true; fi
}

forget_system() {
  local group
  take_away "$unit_file" root
  if [ -f "$rule_file" ]; then
    take_away "$rule_file" root
    if [ "$is_dry" = no ]; then sudo udevadm control --reload || true; fi
  fi
  if [ "$is_dry" = no ] && [ "$changes" -gt 0 ]; then as_root systemctl daemon-reload; fi
  if [ -d "$ROOT/var/cache/octopus-flasher" ]; then
    run_as_root 'remove its cache' -- rm -rf -- "$ROOT/var/cache/octopus-flasher"
  fi
  while IFS= read -r group; do
    case " $(id -nG "$user") " in
      *" $group "*) run_as_root "take $user out of $group again" -- gpasswd -d "$user" "$group" ;;
    esac
  done < <(noted group)
  if is_noted new-group gpio && has_group gpio; then run_as_root 'remove the group gpio' -- groupdel gpio; fi
}

# What files were before that somebody else has changed since, too. While there are any, the list stays for --purge.
copies() {
  local file kept
  while IFS= read -r file; do
    kept=$(backup_of "$(readlink -f -- "$file")")
    if [ -f "$kept" ]; then printf '%s\n' "$kept"; fi
  done < <(noted edit)
}

purge() {
  local file folder_of
  while IFS= read -r file; do
    take_away "$(backup_of "$(readlink -f -- "$file")")" "$(owner_of "$file")"
  done < <(noted edit)
  for file in "$primary"/logs/octopus-flasher.log*; do take_away "$file" user; done
  take_away "$primary/config/octopus-flasher.conf" user
  take_away "$primary/comms/octopus-flasher.sock" user
  folder_of=$(noted tree)
  if [ -n "$folder_of" ]; then remove_folder "$folder_of"; fi
  remove_folder "$HOME/.cache/octopus-flasher"
  remove_folder "$primary/octopus-flasher"
}

owner_of() { case $1 in "$ROOT"/etc/* | "$ROOT"/boot/* | "$ROOT"/var/*) printf root ;; *) printf user ;; esac; }

remove_folder() {
  if [ ! -d "$1" ]; then return; fi
  changed "remove $1"
  if [ "$is_dry" = no ]; then rm -rf -- "$1"; fi
}
