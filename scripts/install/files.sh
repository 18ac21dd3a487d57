# shellcheck shell=bash
# Files: written whole or not at all, only where something changes, with what was there before kept beside it; and the list
# of what this installation has put where, so that it can be taken back.

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
new=$work/new

as_root() {
  if ! sudo "$@"; then fail "sudo $*"; fi
}

# The list lies in the printer's folder that the daemon works in: one "WORD VALUE" a line.
manifest() { printf '%s/octopus-flasher/installed' "$primary"; }

is_noted() { # WORD VALUE
  [ -f "$(manifest)" ] && grep -qxF -- "$1 $2" "$(manifest)"
}

# Before the thing itself is done: what is cut short can be taken back, too.
note() { # WORD VALUE
  if [ "$is_dry" = yes ] || is_noted "$1" "$2"; then return; fi
  make_folder "$(dirname -- "$(manifest)")" 700
  local next
  next=$(manifest).new
  { if [ -f "$(manifest)" ]; then cat -- "$(manifest)"; fi && printf '%s %s\n' "$1" "$2"; } >"$next"
  chmod 600 -- "$next"
  mv -f -- "$next" "$(manifest)"
}

noted() { # WORD: all its values
  if [ -f "$(manifest)" ]; then sed -n "s/^$1 //p" -- "$(manifest)"; fi
}

unnote() { # WORD
  if [ "$is_dry" = yes ] || [ ! -f "$(manifest)" ]; then return; fi
  sed "/^$1 /d" -- "$(manifest)" >"$(manifest).new"
  chmod 600 -- "$(manifest).new"
  mv -f -- "$(manifest).new" "$(manifest)"
}

make_folder() { # FOLDER MODE
  [ -d "$1" ] || { mkdir -p -- "$1" && chmod "$2" -- "$1"; }
}

# Where the content that a file had before is kept. ifupdown reads every file in its folder.
backup_of() { # FILE
  case $1 in
    */interfaces.d/*) printf '%s/var/backups/octopus-flasher-%s' "$ROOT" "${1##*/}" ;;
    *) printf '%s.before-octopus-flasher' "$1" ;;
  esac
}

# Whether we made the file, or it is another's that we change.
is_ours() { is_noted file "$1"; }

# put FILE MODE OWNER: FILE gets the content of $new. OWNER is "user" or "root". $is_put says whether anything changed.
# A file of somebody else's keeps its mode, and where it is a link, the file behind it is written.
is_put=no
put() {
  local file mode=$2 owner=$3 old=/dev/null kept=''
  file=$(readlink -m -- "$1")
  is_put=no
  if [ -f "$file" ]; then
    if cmp -s -- "$new" "$file"; then return; fi
    old=$file
    if ! is_ours "$1"; then
      kept=$(backup_of "$file")
      mode=$(stat -c %a -- "$file")
    fi
  fi
  is_put=yes
  if [ "$old" = /dev/null ]; then changed "write $1"; else changed "change $1"; fi
  if [ "$is_dry" = yes ]; then
    show_difference "$old" "$new" "$1"
    return
  fi
  if [ "$old" = /dev/null ]; then note file "$1"; elif [ -n "$kept" ]; then note edit "$1"; fi
  if [ "$owner" = root ]; then
    as_root mkdir -p -- "$(dirname -- "$file")"
    if [ -n "$kept" ]; then
      as_root mkdir -p -- "$(dirname -- "$kept")"
      as_root cp -p -- "$file" "$kept"
    fi
    as_root install -m "$mode" -- "$new" "$file.octopus-new"
    as_root mv -f -- "$file.octopus-new" "$file"
  else
    if [ -n "$kept" ]; then cp -p -- "$file" "$kept" || fail "no copy of $file can be made beside it"; fi
    install -m "$mode" -- "$new" "$file.octopus-new" || fail "$file cannot be written" 'Does it belong to this user?'
    sync -- "$file.octopus-new"
    mv -f -- "$file.octopus-new" "$file"
  fi
}

# take_away FILE OWNER: a file that we made.
take_away() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then return; fi
  changed "remove $1"
  if [ "$is_dry" = yes ]; then return; fi
  if [ "$2" = root ]; then as_root rm -f -- "$1"; else rm -f -- "$1"; fi
}

# take_back FILE OWNER DO UNDO: a file of somebody else's that we changed. As it was to the byte, where nobody has changed
# it since (DO on what was kept gives what is there); else without what is ours (UNDO). Both are filters.
take_back() {
  local file kept
  if [ ! -f "$1" ]; then return; fi
  file=$(readlink -f -- "$1")
  kept=$(backup_of "$file")
  if [ -f "$kept" ] && "$3" <"$kept" 2>/dev/null | cmp -s -- - "$file"; then
    cat -- "$kept" >"$new"
  else
    "$4" <"$file" >"$new" || return 0
  fi
  if cmp -s -- "$new" "$file"; then
    forget_copy "$file" "$2"
    return
  fi
  changed "take back what was added to $1"
  if [ "$is_dry" = yes ]; then
    show_difference "$file" "$new" "$1"
    return
  fi
  local mode
  mode=$(stat -c %a -- "$file")
  if [ "$2" = root ]; then
    as_root install -m "$mode" -- "$new" "$file.octopus-new"
    as_root mv -f -- "$file.octopus-new" "$file"
  else
    install -m "$mode" -- "$new" "$file.octopus-new"
    mv -f -- "$file.octopus-new" "$file"
  fi
  forget_copy "$file" "$2"
}

# The copy beside a file goes when the file is again what the copy is.
forget_copy() { # FILE OWNER
  local kept
  kept=$(backup_of "$1")
  if [ -f "$kept" ] && cmp -s -- "$kept" "$1"; then take_away "$kept" "$2"; fi
}

# run_as_root WORDS -- COMMAND...: a change that is no file.
run_as_root() {
  local words=$1
  shift 2
  changed "$words (sudo $*)"
  if [ "$is_dry" = no ]; then as_root "$@"; fi
}

# A filter: the file may end without the end of a line.
whole_lines() {
  local text=$work/text
  cat >"$text"
  cat -- "$text"
  if [ -s "$text" ] && [ -n "$(tail -c 1 -- "$text")" ]; then printf '\n'; fi
}
