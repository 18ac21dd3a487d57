# shellcheck shell=bash
# What kind of host this is, and why it may be the wrong one.

KNOWN_RELEASES='bookworm trixie'

release() { # KEY of os-release
  sed -n "s/^$1=//p" -- "$ROOT/etc/os-release" 2>/dev/null | tr -d '"' | head -n 1 || true
}

refuse_wrong_host() {
  if [ "$(id -u)" -eq 0 ]; then
    refuse 'it runs as root' 'Run it as the user that Klipper runs as, without sudo: ./install.sh' \
      'It asks for your password where something belongs to root.'
  fi
  user=$(id -un)
  command -v systemctl >/dev/null || refuse 'there is no systemd here' 'The daemon alone: bin/octopus daemon'
  command -v sudo >/dev/null || refuse 'there is no sudo here' "As root: apt-get install sudo && adduser $user sudo"
  refuse_wrong_name "$folder" 'this clone'
  [ -O "$folder" ] || refuse "$folder belongs to somebody else" "Clone it as $user."
  # Nothing of this matters to what is only taken away.
  if [ "$is_uninstall" = no ]; then
    refuse_wrong_release
    refuse_wrong_machine
  fi
}

# systemd's units, Moonraker's and Klipper's files each have characters of their own that mean something.
refuse_wrong_name() { # PATH WHAT
  case $1 in
    *[!A-Za-z0-9/._-]*) refuse "the path of $2 has a space or another sign that a unit cannot hold: $1" 'Move it.' ;;
  esac
}

refuse_wrong_release() {
  local name
  name=$(release VERSION_CODENAME)
  case " $KNOWN_RELEASES " in *" $name "*) return ;; esac
  case "$(release ID) $(release ID_LIKE)" in
    *debian*) ;;
    *) refuse "this is $(release PRETTY_NAME), and the installer knows Debian's family only" 'By hand: docs/install.md' ;;
  esac
  case $name in
    stretch | buster | bullseye)
      refuse "Debian $name is too old: 12 (bookworm) or 13 (trixie) is needed" \
        'Write a current Raspberry Pi OS or MainsailOS to the card.'
      ;;
  esac
  say "This is $(release PRETTY_NAME): tried are Debian bookworm and trixie. Going on."
}

# The kernel may be a 64-bit one under a 32-bit system, so dpkg is asked and not uname.
refuse_wrong_machine() {
  local machine major
  machine=$(dpkg --print-architecture)
  case $machine in arm64 | amd64) return ;; esac
  major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -ge 24 ] && [ "$major" -lt 26 ]; then return; fi
  refuse "this system is 32-bit ($machine), and Node 24, which octopus-flasher runs on, is made for 64-bit only" \
    'What it needs: a 64-bit system (every Raspberry Pi 3, 4, 5 and Zero 2 W can run Raspberry Pi OS 64-bit),' \
    'or a Node 24 of your own for this system, first in PATH (node --version says v24).'
}
