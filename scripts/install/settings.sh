# shellcheck shell=bash
# The two configuration files, where there are none yet, and the owner's word about the printer's screen.

models() {
  local file
  for file in "$folder"/src/boards/boards/octopus-*.json; do basename -- "$file" .json; done
}

check_board() {
  if [ "$board" = ask ] || models | grep -xF -- "$board" >/dev/null; then return; fi
  wrong_usage "$board is no board; known are $(models | tr '\n' ' ')"
}

# What is asked once is not asked again. Two Octopus boards look alike and are not: it is never guessed.
ask_board() {
  local names name
  if [ "$board" != ask ]; then return; fi
  board=''
  if [ "$is_yes" = yes ] || [ "$is_dry" = yes ]; then return; fi
  mapfile -t names < <(models)
  say 'Which board is it? Its name is printed on it, the processor (STM32...) on the big chip.'
  local at
  for ((at = 0; at < ${#names[@]}; at++)); do say "  $((at + 1)) ${names[at]}"; done
  ask '  Number, or Enter to say it later:'
  if [[ $answer =~ ^[0-9]+$ ]] && [ "$answer" -ge 1 ] && [ "$answer" -le ${#names[@]} ]; then
    name=${names[answer - 1]}
    board=$name
  fi
}

printer_name() { # FOLDER: printer_voron_data is voron, printer_1_data is printer_1
  local name=${1##*/}
  name=${name%_data}
  if [[ $name =~ ^printer_([A-Za-z].*)$ ]]; then name=${BASH_REMATCH[1]}; fi
  printf '%s' "${name//[^A-Za-z0-9_-]/_}"
}

configuration_content() {
  local data mark='' of=''
  if [ -z "$board" ]; then mark='#'; fi
  cat <<'END'
# octopus-flasher: which boards there are. Everything: docs/configuration.md in the clone.
# May be edited in Mainsail; nothing in here opens a guard: that is host.conf's, on the host.

[octopus-flasher]
# trace, debug, info, warn, error or fatal; the log is logs/octopus-flasher.log
log_level: info
# One of Moonraker's notifiers, told how a flash ended
#notifier: phone
END
  if [ ${#data_dirs[@]} -gt 1 ]; then
    for data in "${data_dirs[@]}"; do
      printf '\n[printer %s]\nmoonraker: %s/comms/moonraker.sock\n' "$(printer_name "$data")" "$data"
    done
    of="printer: $(printer_name "$primary")"
  fi
  cat <<END

# The board: its model is one of
$(models | sed 's/^/#   /')
${mark}[board octopus]
${mark}board: ${board:-octopus-v1.1-f446}
${of:+$mark$of
}# What FLASH_OCTOPUS flashes when it names nothing
#image: ~/firmware/klipper.bin
END
}

write_settings() {
  local conf=$primary/config/octopus-flasher.conf host=$primary/octopus-flasher/host.conf
  if [ ! -e "$conf" ]; then
    ask_board
    configuration_content >"$new"
    put "$conf" 644 user
    is_daemon_stale=yes
    if [ -z "$board" ]; then left "say which board it is: [board octopus] in $conf"; fi
  elif [ "$board" != ask ] && ! grep -qsE "^board[[:space:]]*[:=][[:space:]]*${board}[[:space:]]*\$" -- "$conf"; then
    left "$conf is there already and stays as it is: set board: $board in it"
  fi
  if [ ! -e "$host" ]; then
    if [ "$is_dry" = no ]; then make_folder "$primary/octopus-flasher" 700; fi
    cat -- "$folder/config/host.conf" >"$new"
    put "$host" 600 user
  fi
}

is_armed() { grep -qsE '^armed[[:space:]]*[:=][[:space:]]*(yes|true|on|1)[[:space:]]*$' -- "$primary/octopus-flasher/host.conf"; }

arm_or_not() {
  if [ "$arm" = ask ] && [ "$is_yes" = no ] && [ "$is_dry" = no ] && ! is_armed && ! is_noted asked arm; then
    note asked arm
    say "Whoever may use Moonraker could then flash; every other guard holds. octopus disarm takes it back."
    if is_agreed "  Allow flashing from the printer's screen?"; then arm=yes; fi
  fi
  if [ "$arm" = yes ] && ! is_armed; then
    changed "allow flashing from the printer's screen (octopus arm)"
    octopus_here arm
  elif [ "$arm" = no ] && is_armed; then
    changed "forbid flashing from the printer's screen (octopus disarm)"
    octopus_here disarm
  fi
}

octopus_here() {
  if [ "$is_dry" = yes ]; then return; fi
  "$folder/bin/octopus" "$@" --printer-data "$primary" >"$work/said" 2>&1 || fail "octopus $*" "$(cat -- "$work/said")"
}
