#!/usr/bin/env bash
# Prints the path of a real Moonraker, with a supervisord beside it, installed from PyPI into a virtual environment that is kept between runs.
set -euo pipefail

version=0.11.0
supervisor=4.3.0
venv="${XDG_CACHE_HOME:-$HOME/.cache}/octopus-flasher-tests/moonraker-$version-$supervisor"
moonraker="$venv/bin/moonraker"

mkdir -p "$(dirname "$venv")"
# Two suites may start at once.
exec 9>"$venv.lock"
flock 9

if [ ! -f "$venv/.complete" ]; then
  # An installation that was cut off is begun anew.
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check "moonraker==$version" "supervisor==$supervisor" >&2
  touch "$venv/.complete"
fi
echo "$moonraker"
