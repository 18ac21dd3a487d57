// Configuration files to begin with, and what may stand anywhere in one.

export const SETTINGS_FILES: readonly string[] = [
  `# Octopus flasher
[octopus-flasher]
log_level: debug
listen: 0.0.0.0:7130
moonraker: ~/printer_data/comms/moonraker.sock

[board octopus]
board: octopus-v1.1-f446
image: ~/klipper/out/klipper.bin   # made by make
serial: /dev/serial/by-id/usb-Klipper_stm32f446xx_1A-if00
mcu: mcu
`,
  `[octopus-flasher]
[printer left]
moonraker: ~/left_data/comms/moonraker.sock
[printer right]
moonraker: https://pi.local:7130/right
api_key: 0123456789abcdef0123456789abcdef
notifier: phone

[board octopus-v1.1-f446]
printer: left
bus_path: 1-1.4
routes: double-reset, boot0-nrst
[board tall]
board: octopus-pro-h723
printer: right
boot0_pin: gpio5
reset_pin: gpiochip0/gpio6
image: build:tall
`,
  `\uFEFF[octopus-flasher]\r
listen: [::1]:7131\r
[board hotend]\r
board: btt-ebb36-v1.2\r
canbus_uuid: 0A1B2C3D4E5F\r
canbus_interface: can0\r
mcu: mcu ebb\r
`,
];

export const HOST_FILES: readonly string[] = [
  `# the owner's own
[octopus-flasher]
armed: no
allow_uploads: on
firmware_folders:
    ~/firmware
    /srv/images/
power_device: psu
[source klipper]
path: ~/klipper
[board octopus]
unused_heaters: HE2, he3
`,
  `[octopus-flasher]
[board tall]
boot0_pin: gpio5
reset_pin: gpio6
power_device: relay
[board octopus-v1.1-f446]
boot0_pin: none
reset_pin: none
`,
  `[octopus-flasher]
armed = yes  # for now
[source katapult]
path = /home/pi/katapult
`,
];

export const PRINTER_FILES: readonly string[] = [
  `[include mainsail.cfg]
[include macros/*.cfg]

[mcu]
serial: /dev/serial/by-id/usb-Klipper_stm32f446xx_1A-if00
[mcu ebb]
canbus_uuid: 0a1b2c3d4e5f ; the hotend
canbus_interface: can0

[stepper_x]
step_pin: PF13   # driver 0
dir_pin: !PF12
homing_speed = 50
[extruder]
control: pid
pid_Kp = 22.2

[gcode_macro PRINT_START]
description: warms up
gcode:
  {% set bed = params.BED|default(60)|float %}
  M140 S{bed}

  G28
; between
  RESPOND MSG="a;b#c"

#*# <---------------------- SAVE_CONFIG ---------------------->
#*# DO NOT EDIT THIS BLOCK OR BELOW. The contents are auto-generated.
#*#
#*# [extruder]
#*# control = pid
#*# pid_kp = 23.4
`,
  `[virtual_sdcard]\r\npath: ~/printer_data/gcodes\r\n\r\n[display_status]\r\n[pause_resume]\r\n[mcu]\r\nserial = /dev/ttyACM0`,
];

export const WORDS: readonly string[] = [
  '[octopus-flasher]',
  '[board octopus]',
  '[board Octopus]',
  '[board __proto__]',
  '[board x]\nboard: octopus-pro-f446',
  '[printer a]',
  '[source klipper]',
  '[mcu]',
  'armed: yes',
  'armed: 1',
  'boot0_pin: gpio19',
  'reset_pin: gpio26',
  'boot0_pin: gpiochip0/26',
  'boot0_pin: none',
  'reset_pin: none',
  'firmware_folders: /',
  'firmware_folders: ~/printer_data/config',
  'path: ../../etc',
  'moonraker: none',
  'moonraker: http://user:secret@host/',
  'image: upload:a/../b',
  'canbus_uuid: 000000000000',
  'mcu: mcu  x',
  'routes:',
  '~/',
  '/..',
  'gpio',
  'gpio1023',
  'gpio9999999999',
  '!gpio5',
];
