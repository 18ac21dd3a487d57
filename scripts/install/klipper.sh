# shellcheck shell=bash
# Klipper and Mainsail: the macros by one line in printer.cfg, and a link in the sidebar.

klipper_stale=()

# Through a wildcard, which may match nothing: a clone that is gone must not keep Klipper from starting.
macros_line() { printf '[include %s/macros/%s.cf?]' "$folder" "$1"; }
with_macros() { with_line "$(macros_line "$macros")"; }
# Of either kind, and of a clone that was elsewhere.
without_macros() { sed -E '/^\[include [^]]*\/macros\/octopus(_shell)?\.cf\?\][[:space:]]*$/d'; }

# Klipper stops at a section that it does not know, so the shell's macros need KIAUH's extension (Kalico has it). They
# name the command at ~/octopus-flasher, and know of one printer only.
choose_macros() { # INSTANCE
  macros=octopus
  if [ -f "${klippy_folders[$1]}/extras/gcode_shell_command.py" ] && [ ${#data_dirs[@]} -eq 1 ] &&
    [ "$folder" = "$HOME/octopus-flasher" ]; then
    macros=octopus_shell
  fi
}

tell_klipper() { # INSTANCE
  local cfg=${printer_cfgs[$1]} own
  klipper_stale[$1]=no
  sidebar "$1"
  if [ ! -f "$cfg" ]; then
    left "there is no $cfg: run this again when there is one"
    return
  fi
  choose_macros "$1"
  if has_line "$(macros_line "$macros")" "$cfg"; then return; fi
  own=$(grep -lsE '^\[gcode_macro FLASH_OCTOPUS\]' -- "$(dirname -- "$cfg")"/*.cfg | head -n 1 || true)
  if [ -n "$own" ]; then
    say "The macros are in $own already: printer.cfg is left as it is."
    return
  fi
  without_macros <"$cfg" >"$work/bare"
  with_macros <"$work/bare" >"$new"
  put "$cfg" 644 user
  klipper_stale[$1]=yes
}

# Node of any age: the helpers here are plain JavaScript.
node_here() {
  if [ -x "$folder/bin/node" ] && "$folder/bin/node" -e '' 2>/dev/null; then
    "$folder/bin/node" "$@"
  else
    node "$@"
  fi
}

# Where the link leads: to the page, if the daemon is told to serve it, or to the words about it.
sidebar_target() {
  local conf=$primary/config/octopus-flasher.conf listen origin
  listen=$(sed -n 's/^listen[[:space:]]*[:=][[:space:]]*//p' -- "$conf" 2>/dev/null | head -n 1 || true)
  if [ -n "$listen" ]; then
    printf 'http://%s.local:%s/' "$(uname -n)" "${listen##*:}"
    return
  fi
  origin=$(git -C "$folder" remote get-url origin 2>/dev/null || true)
  origin=${origin%.git}
  case $origin in
    https://*@*) printf '/console' ;;
    https://*) printf '%s' "$origin" ;;
    git@*:*) printf 'https://%s' "$(sed 's/^git@//; s#:#/#' <<<"$origin")" ;;
    *) printf '/console' ;;
  esac
}

with_sidebar() { node_here "$folder/scripts/install/navi.mjs" add "$(sidebar_target)"; }
without_sidebar() { node_here "$folder/scripts/install/navi.mjs" remove; }

# Mainsail, src/components/mixins/navigation.ts: one wrong sign in this file and all of a user's own links are gone.
sidebar() { # INSTANCE
  local file=${data_dirs[$1]}/config/.theme/navi.json
  if ! node_here -e '' 2>/dev/null; then
    changed "add a link to the sidebar: $file"
    return
  fi
  if [ -f "$file" ]; then cat -- "$file"; fi | with_sidebar >"$new" || {
    left "$file is no list of links, so none was added: mend it, then run this again"
    return
  }
  if [ "$is_dry" = no ] && [ ! -d "${file%/*}" ]; then
    note folder "${file%/*}"
    mkdir -p -- "${file%/*}"
  fi
  put "$file" 644 user
}
