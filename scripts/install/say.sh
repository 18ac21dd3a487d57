# shellcheck shell=bash
# What is told and asked, and what is counted for the end.

changes=0
left_to_do=()

say() { printf '  %s\n' "$*"; }
step() { printf '\n%s\n' "$*"; }

# A change that was made, or with --dry-run would be.
changed() {
  changes=$((changes + 1))
  if [ "$is_dry" = yes ]; then say "would $*"; else say "$*"; fi
}

# What only the user can do, or what had to wait; told once more at the end.
left() {
  left_to_do+=("$*")
  say "left to do: $*"
}

wrong_usage() {
  printf 'install.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

# Nothing was changed: all refusals come before the first change.
refuse() {
  printf 'install.sh: refused: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 3
}

fail() {
  printf 'install.sh: failed: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}

# ask QUESTION: the answer is in $answer; empty at the end of the input.
ask() {
  answer=
  printf '%s ' "$1"
  IFS= read -r answer || printf '\n'
}

# is_agreed QUESTION: yes only to a yes.
is_agreed() {
  ask "$1 [y/N]"
  case $answer in [yY] | [yY][eE][sS]) return 0 ;; *) return 1 ;; esac
}

# One change, shown as diff shows it.
show_difference() { # OLD NEW NAME
  diff -u --label "$3 (now)" --label "$3 (new)" -- "$1" "$2" | sed 's/^/    /' || true
}

say_end() {
  step 'Done'
  if [ "$changes" -eq 0 ]; then
    say 'Nothing to change.'
  elif [ "$is_dry" = yes ]; then
    say "$changes changes would be made; none was."
  else
    say "$1"
  fi
  local one
  for one in ${left_to_do[@]+"${left_to_do[@]}"}; do say "Left to do: $one"; done
}
