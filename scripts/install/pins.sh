# shellcheck shell=bash
# --pins: the pulls of the two wires from power-on until the daemon runs, in a Raspberry Pi's config.txt. BOOT0 is pulled
# down, as the board itself does; reset is pulled up: GPIO19 starts with a pull-down, which works against the board's pull-up.

PINS_BEGIN='# octopus-flasher: BOOT0 and reset rest where the board has them'

config_txt() {
  local file
  for file in "$ROOT/boot/firmware/config.txt" "$ROOT/boot/config.txt"; do
    if [ -f "$file" ]; then printf '%s' "$file" && return; fi
  done
}

# The two GPIO numbers: what the owner's file says, or the usual ones; empty where they are no plain GPIOs.
pin_of() { # boot0_pin | reset_pin, USUAL
  local said
  said=$(sed -n "s/^$1[[:space:]]*[:=][[:space:]]*//p" -- "$primary/octopus-flasher/host.conf" 2>/dev/null | head -n 1 || true)
  said=${said:-gpio$2}
  if [[ $said =~ ^(gpiochip0/)?gpio([0-9]{1,2})$ ]]; then printf '%s' "${BASH_REMATCH[2]}"; fi
}

refuse_wrong_pins() {
  if [ "$is_pins" = no ]; then return; fi
  local file boot0 reset pin
  file=$(config_txt)
  [ -n "$file" ] || refuse 'there is no config.txt here: --pins is for a Raspberry Pi'
  boot0=$(pin_of boot0_pin 26)
  reset=$(pin_of reset_pin 19)
  if [ -z "$boot0" ] || [ -z "$reset" ]; then
    refuse 'the pins in host.conf are no GPIOs of the Raspberry Pi itself, and config.txt knows no others'
  fi
  for pin in "$boot0" "$reset"; do
    refuse_used_pin "$pin" "$file"
  done
}

# Raspberry Pi, firmware/boot/overlays/README: spi1-*: GPIO16 to 21; I2S, and with it every sound card on the header: 18 to 21.
refuse_used_pin() { # NUMBER FILE
  local lines line
  lines=$(without_pins <"$2" | grep -vE '^[[:space:]]*#' | tr -d '\r' || true)
  if [ "$1" -ge 16 ] && [ "$1" -le 21 ]; then
    line=$(grep -E '^[[:space:]]*dtoverlay=spi1-' <<<"$lines" | head -n 1 || true)
    [ -z "$line" ] || refuse "GPIO$1 is SPI1's on this host ($line in $2)" "Choose other pins in host.conf: docs/hardware.md"
  fi
  if [ "$1" -ge 18 ] && [ "$1" -le 21 ]; then
    line=$(grep -E '^[[:space:]]*(dtparam=([^#]*,)?i2s=on|dtoverlay=(i2s|hifiberry|iqaudio|allo-|justboom|audioinjector|googlevoicehat|max98357a|rpi-dac|pisound|wm8960|adau|merus|dionaudio|superaudioboard|fe-pi))' <<<"$lines" | head -n 1 || true)
    [ -z "$line" ] || refuse "GPIO$1 is I2S's on this host, sound ($line in $2)" "Choose other pins in host.conf: docs/hardware.md"
  fi
  line=$(pin_line "$1" <<<"$lines")
  [ -z "$line" ] || refuse "GPIO$1 is used on this host ($line in $2)" "Choose other pins in host.conf: docs/hardware.md"
  refuse_klipper_pin "$1"
}

# A filter: the first line that sets the pin (gpio=2,5-8=...), or gives it to an overlay.
pin_line() { # NUMBER
  awk -v pin="$1" '
    /^[ \t]*gpio=/ {
      split($0, parts, "=")
      count = split(parts[2], items, ",")
      for (i = 1; i <= count; i++) {
        if (split(items[i], ends, "-") == 1) ends[2] = ends[1]
        if (pin + 0 >= ends[1] + 0 && pin + 0 <= ends[2] + 0) { print; exit }
      }
    }
    /^[ \t]*dtoverlay=/ && $0 ~ "(gpio[_a-z]*|pin)=" pin "(,|$)" { print; exit }'
}

# This host as an MCU of Klipper's (docs/RPi_microcontroller.md): its pins are NAME:gpio26, NAME:gpiochip0/gpio26.
refuse_klipper_pin() { # NUMBER
  local at name file
  for ((at = 0; at < ${#data_dirs[@]}; at++)); do
    while IFS= read -r file; do
      while IFS= read -r name; do
        if sed 's/#.*//' -- "${data_dirs[at]}"/config/*.cfg | grep -E "[=:[:space:]!^~]$name:[[:space:]]*(gpiochip0/)?gpio$1([^0-9]|\$)" >/dev/null; then
          refuse "printer.cfg uses GPIO$1 of this host ($name:gpio$1)" 'Choose other pins in host.conf: docs/hardware.md'
        fi
      done < <(host_mcus "$file")
    done < <(find -L "${data_dirs[at]}/config" -maxdepth 1 -name '*.cfg' -type f)
  done
}

# Names of MCU sections whose serial is the host's own process.
host_mcus() { # FILE
  awk '/^\[mcu /{name=$2; sub(/\].*/, "", name)} /^\[/&&!/^\[mcu /{name=""} /^serial[ \t]*[:=].*klipper_host_mcu/{if (name != "") print name}' "$1"
}

without_pins() { sed "/^$PINS_BEGIN/,/^gpio=.*=ip,pu/d"; }

# At the end, for every model: a filter above may hold for another one only.
with_pins() {
  whole_lines
  printf '%s\n[all]\ngpio=%s=ip,pd\ngpio=%s=ip,pu\n' "$PINS_BEGIN" "$(pin_of boot0_pin 26)" "$(pin_of reset_pin 19)"
}

install_pins() {
  local file
  file=$(config_txt)
  if [ "$is_pins" = no ]; then
    if [ -n "$file" ] && ! grep -qF -- "$PINS_BEGIN" "$file"; then
      say "Not done, but offered: ./install.sh --pins gives both wires their pulls from power-on ($file)."
    fi
    return
  fi
  without_pins <"$file" | with_pins >"$new"
  put "$file" 755 root
  if [ "$is_put" = yes ]; then left 'the pulls take effect when this host is started anew'; fi
}

uninstall_pins() {
  local file
  file=$(config_txt)
  if [ -n "$file" ] && is_noted edit "$file"; then take_back "$file" root with_pins without_pins; fi
}
