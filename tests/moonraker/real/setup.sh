#!/usr/bin/env bash
# Prints the path of a real Moonraker, installed from PyPI into a virtual environment that is kept between runs.
set -euo pipefail

version=0.11.0
venv="${XDG_CACHE_HOME:-$HOME/.cache}/octopus-flasher-tests/moonraker-$version"
moonraker="$venv/bin/moonraker"

if [ ! -f "$venv/.complete" ]; then
  mkdir -p "$(dirname "$venv")"
  # An installation that was cut off is begun anew.
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check "moonraker==$version" >&2
  touch "$venv/.complete"
fi
echo "$moonraker"
