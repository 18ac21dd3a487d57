# shellcheck shell=bash
# The printers on this host: their folders, and the units that Klipper and Moonraker run as there.

data_dirs=() klipper_units=() moonraker_units=() klippy_folders=() printer_cfgs=() moonraker_confs=()

# KIAUH's and MainsailOS's names: klipper.service, klipper-1.service, moonraker-voron.service.
units_of() { # klipper | moonraker
  local file name
  for file in "$ROOT"/etc/systemd/system/"$1"*.service; do
    name=${file##*/}
    if [[ -f $file && $name =~ ^$1(-[0-9a-zA-Z]+)?\.service$ ]]; then printf '%s\n' "$file"; fi
  done
}

# What a unit says, and the file that holds its arguments.
unit_text() { # FILE
  local arguments
  cat -- "$1"
  arguments=$(sed -n 's/^EnvironmentFile=-\{0,1\}//p' -- "$1" | head -n 1)
  if [ -n "$arguments" ] && [ -r "$arguments" ]; then
    printf '\n'
    cat -- "$arguments"
  fi
}

# The printer's folder that a unit works in: what stands before /config/*.cfg or .conf, or behind -d.
data_of_unit() { # FILE
  local text
  text=$(unit_text "$1")
  {
    grep -oE '[^" =]+/config/[^" /]+\.(cfg|conf)' <<<"$text" | sed 's#/config/[^/]*$##' || true
    grep -oE -- '(-d|--data-path)[ =]+[^" ]+|MOONRAKER_DATA_PATH="?[^" ]+' <<<"$text" | sed -E 's/^.*[ ="]//' || true
  } | sed "s#^~/#$HOME/#; s#^%h/#$HOME/#" | grep '^/' | head -n 1 || true
}

is_mine() { # FILE
  local owner
  owner=$(sed -n 's/^User=//p' -- "$1" | head -n 1)
  [ -z "$owner" ] || [ "$owner" = "$user" ]
}

add_instance() { # FOLDER
  local at real
  real=$(readlink -m -- "$1")
  [ -d "$real/config" ] || return 0
  for ((at = 0; at < ${#data_dirs[@]}; at++)); do
    if [ "${data_dirs[at]}" = "$real" ]; then return 0; fi
  done
  data_dirs+=("$real")
}

find_instances() {
  local one file data
  if [ ${#asked_data[@]} -gt 0 ]; then
    for one in "${asked_data[@]}"; do
      [ -d "$one/config" ] || refuse "$one is no printer's folder: it has no config folder"
      add_instance "$one"
    done
  else
    add_instance "$HOME/printer_data"
    for one in "$HOME"/printer_*_data; do add_instance "$one"; done
    while IFS= read -r file; do
      data=$(data_of_unit "$file")
      [ -n "$data" ] || continue
      if is_mine "$file"; then
        add_instance "$data"
      else
        say "${file##*/} runs as another user than $user: its printer is left alone. Run this as that user, too."
      fi
    done < <(units_of klipper && units_of moonraker)
  fi
  if [ ${#data_dirs[@]} -eq 0 ]; then
    refuse "no printer of $user was found (looked for $HOME/printer_data, $HOME/printer_*_data, and Klipper's units)" \
      'Install Klipper and Moonraker first, with KIAUH or from a MainsailOS image,' \
      'or name the folder: --printer-data DIR'
  fi
  for one in "${data_dirs[@]}"; do refuse_wrong_name "$one" "the printer's folder"; done
  find_details
}

unit_for() { # klipper | moonraker, FOLDER: its file, or nothing
  local file data
  while IFS= read -r file; do
    data=$(data_of_unit "$file")
    if [ -n "$data" ] && [ "$(readlink -m -- "$data")" = "$2" ]; then
      printf '%s' "$file"
      return
    fi
  done < <(units_of "$1")
}

find_details() {
  local data file klippy conf
  for data in "${data_dirs[@]}"; do
    file=$(unit_for klipper "$data")
    klipper_units+=("${file##*/}")
    klippy='' conf=''
    if [ -n "$file" ]; then
      klippy=$(unit_text "$file" | grep -oE '[^" =]+/klippy/klippy\.py' | head -n 1 || true)
      conf=$(unit_text "$file" | grep -oE '[^" =]+/config/[^" ]+\.cfg' | head -n 1 || true)
    fi
    klippy=${klippy%/klippy.py}
    klippy_folders+=("${klippy:-$HOME/klipper/klippy}")
    printer_cfgs+=("${conf:-$data/config/printer.cfg}")
    file=$(unit_for moonraker "$data")
    moonraker_units+=("${file##*/}")
    moonraker_confs+=("$data/config/moonraker.conf")
  done
}

# The folder that the daemon works in: the one where it is already, or printer_data, or the first.
choose_primary() {
  local data
  primary=${data_dirs[0]}
  for data in "${data_dirs[@]}"; do
    if [ -f "$data/octopus-flasher/installed" ]; then primary=$data && return; fi
  done
}
