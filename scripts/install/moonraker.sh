# shellcheck shell=bash
# Moonraker: the service it may restart, and the section of its update_manager, in a file of its own.

UPDATES=octopus-flasher-moonraker.conf
moonraker_stale=()

# A line of its own at the top: an include says nothing about the sections behind it, and below stands what a user's own
# lines override. Both filters keep every other byte, CRLF too.
with_line() { # LINE: a filter
  local text first
  text=$work/text
  cat >"$text"
  first=$(head -n 1 -- "$text")
  if [ "${first%$'\r'}" != "$first" ]; then printf '%s\r\n' "$1"; else printf '%s\n' "$1"; fi
  cat -- "$text"
}

without_line() { # LINE: a filter
  local pattern
  pattern=$(sed 's/[][\.*^$/?+(){}|]/\\&/g' <<<"$1")
  sed -E "/^${pattern}[[:space:]]*\$/d"
}

# A reader that stops at its find would break the pipe, and with it (pipefail) the answer: grep -q never reads a pipe here.
# has_line LINE FILE: there, or written as a comment by a user who does not want it.
has_line() {
  sed -E 's/^[#;][[:space:]]*//; s/[[:space:]]*$//' -- "$2" | grep -xF -- "$1" >/dev/null
}

updates_line() { printf '[include %s]' "$UPDATES"; }
with_updates() { with_line "$(updates_line)"; }
without_updates() { without_line "$(updates_line)"; }

# One name a line.
with_service() {
  whole_lines
  printf 'octopus-flasher\n'
}
without_service() { sed -E '/^octopus-flasher(\.service)?[[:space:]]*$/d'; }

tell_moonraker() { # INSTANCE
  local data=${data_dirs[$1]} conf=${moonraker_confs[$1]}
  moonraker_stale[$1]=no
  if [ ! -f "$conf" ]; then
    left "there is no $conf: install Moonraker, then run this again"
    return
  fi
  allow_service "$1" "$data/moonraker.asvc"
  tell_updates "$1" "$data/config/$UPDATES" "$conf"
  if [ "$are_units_new" = yes ]; then moonraker_stale[$1]=yes; fi
}

allow_service() { # INSTANCE FILE
  if [ ! -f "$2" ]; then
    left "there is no $2 yet: start Moonraker once, then run this again"
    return
  fi
  if grep -qE '^octopus-flasher(\.service)?[[:space:]]*$' -- "$2"; then return; fi
  with_service <"$2" >"$new"
  put "$2" 644 user
  moonraker_stale[$1]=yes
}

# type: git_repo of this clone. npm is left to our own launcher, which installs beside the old packages and swaps:
# Moonraker's npm ci deletes first, and with the network gone nothing would run.
updates_content() {
  local origin branch
  origin=$(git -C "$folder" remote get-url origin)
  branch=$(git -C "$folder" symbolic-ref --short -q HEAD || echo main)
  cat <<END
# Written by install.sh of octopus-flasher, and written anew whenever it runs.
[update_manager octopus-flasher]
type: git_repo
path: $folder
origin: $origin
primary_branch: $branch
managed_services: octopus-flasher
system_dependencies: system_dependencies.json
info_tags:
    desc=Octopus Flasher
END
}

tell_updates() { # INSTANCE FILE CONF
  if ! git -C "$folder" remote get-url origin >/dev/null 2>&1; then
    left "this is no clone of a repository, so Mainsail cannot update it: git clone, then run its install.sh"
    return
  fi
  if [ "$(git -C "$folder" rev-parse --is-shallow-repository)" = true ]; then
    left "this clone is a shallow one, and Mainsail shows no version: git -C $folder fetch --unshallow --tags"
  fi
  updates_content >"$new"
  put "$2" 644 user
  if [ "$is_put" = yes ]; then moonraker_stale[$1]=yes; fi
  if has_line "$(updates_line)" "$3"; then return; fi
  with_updates <"$3" >"$new"
  put "$3" 644 user
  moonraker_stale[$1]=yes
}
