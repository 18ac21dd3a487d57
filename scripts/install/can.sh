# shellcheck shell=bash
# This host's CAN interface, by whichever of the two this host uses. The daemon itself may not: it has no power over the
# network.

# Klipper, docs/CANBUS_Troubleshooting.md: longer queues delay, the kernel's 10 is too short.
QUEUE_LENGTH=128

check_can_bitrate() {
  if [ -z "$can_bitrate" ]; then return; fi
  if [[ ! $can_bitrate =~ ^[1-9][0-9]{4,6}$ ]] || [ "$can_bitrate" -gt 1000000 ]; then
    wrong_usage "--can $can_bitrate: a bitrate is a number from 10000 to 1000000, such as 1000000 or 500000"
  fi
}

ifupdown_file() { printf '%s/etc/network/interfaces.d/can0' "$ROOT"; }
networkd_file() { printf '%s/etc/systemd/network/25-can.network' "$ROOT"; }
queue_file() { printf '%s/etc/udev/rules.d/10-can.rules' "$ROOT"; }

# Klipper's own page has ifupdown, and what is there already decides; without ifupdown systemd has what is needed, and
# beside NetworkManager, which leaves CAN alone, too.
can_system() {
  if [ -f "$(networkd_file)" ]; then
    printf networkd
  elif [ -f "$(ifupdown_file)" ]; then
    printf ifupdown
  elif systemctl is-enabled --quiet systemd-networkd.service 2>/dev/null; then
    printf networkd
  elif [ -f "$ROOT/etc/network/interfaces" ] && { [ -x "$ROOT/sbin/ifup" ] || [ -x "$ROOT/usr/sbin/ifup" ]; }; then
    printf ifupdown
  else
    printf networkd
  fi
}

install_can() {
  if [ -z "$can_bitrate" ]; then return; fi
  step "CAN at $can_bitrate"
  case $(can_system) in
    ifupdown) install_ifupdown ;;
    *) install_networkd ;;
  esac
}

# put, with the difference shown first: what is there may be somebody's work.
put_shown() { # FILE
  if [ "$is_dry" = no ] && ! cmp -s -- "$new" "$1"; then
    show_difference "$([ -f "$1" ] && printf '%s' "$1" || printf /dev/null)" "$new" "$1"
  fi
  put "$1" 644 root
}

# Klipper, docs/CANBUS.md
install_ifupdown() {
  if ! grep -qsE '^[[:space:]]*source(-directory)?[[:space:]]+.*interfaces\.d' -- "$ROOT/etc/network/interfaces"; then
    left "/etc/network/interfaces does not read interfaces.d: add the line: source /etc/network/interfaces.d/*"
  fi
  cat >"$new" <<END
allow-hotplug can0
iface can0 can static
    bitrate $can_bitrate
    up ip link set \$IFACE txqueuelen $QUEUE_LENGTH
END
  put_shown "$(ifupdown_file)"
  if [ "$is_put" = yes ]; then takes_effect; fi
}

install_networkd() {
  local is_new
  cat >"$new" <<END
[Match]
Name=can*

[CAN]
BitRate=$can_bitrate
RestartSec=100ms

[Link]
RequiredForOnline=no
END
  put_shown "$(networkd_file)"
  is_new=$is_put
  cat >"$new" <<END
SUBSYSTEM=="net", ACTION=="add|change", KERNEL=="can*", ATTR{tx_queue_len}="$QUEUE_LENGTH"
END
  put_shown "$(queue_file)"
  if [ "$is_put" = yes ]; then
    is_new=yes
    if [ "$is_dry" = no ]; then sudo udevadm control --reload || true; fi
  fi
  if ! systemctl is-enabled --quiet systemd-networkd.service 2>/dev/null; then
    is_new=yes
    note networkd enabled
    run_as_root 'let systemd-networkd see to CAN' -- systemctl enable --now systemd-networkd.service
    # It would wait two minutes at each start for a network that is NetworkManager's.
    run_as_root 'let no start wait for it' -- systemctl disable systemd-networkd-wait-online.service
  fi
  if [ "$is_new" = yes ]; then takes_effect; fi
}

# A bus that is taken down ends a print.
takes_effect() {
  left "CAN takes effect when can0 comes anew: reset the bridge board or unplug the adapter, or restart this host"
}

uninstall_can() {
  local file
  for file in "$(ifupdown_file)" "$(networkd_file)" "$(queue_file)"; do
    if is_noted file "$file"; then
      take_away "$file" root
    elif is_noted edit "$file" && [ -f "$(backup_of "$file")" ]; then
      cat -- "$(backup_of "$file")" >"$new"
      if ! cmp -s -- "$new" "$file"; then put_shown "$file"; fi
    fi
  done
  if is_noted networkd enabled; then
    run_as_root 'let systemd-networkd be' -- systemctl disable --now systemd-networkd.service
  fi
}
