// Virtual bench, firmware: the data dictionary of a forged Klipper, as a build embeds it (docs/Protocol.md).

import { deflateSync } from 'node:zlib';
import { isToolheadMcu, randomFrom, type ForgeMcu, type ToolheadMcu } from './forge-parts.ts';

export type KlipperTransport = 'usb' | 'bridge' | 'can';

/** klipper-katapult-dfu.md section 1; an RP2040's is that of its timer. */
const CLOCK_FREQ: Readonly<Record<ForgeMcu, number>> = {
  stm32f446xx: 180_000_000,
  stm32f429xx: 168_000_000,
  stm32f407xx: 168_000_000,
  stm32h723xx: 520_000_000,
  stm32g0b1xx: 64_000_000,
  stm32f072xb: 48_000_000,
  rp2040: 12_000_000,
};
/** CAN, USB and crystal, by the names that a build reserves. */
const PINS: Readonly<Record<'f4' | ToolheadMcu, { can: string; usb?: string; crystal?: string }>> = {
  f4: { can: 'PD0,PD1', usb: 'PA11,PA12', crystal: 'PH0,PH1' },
  stm32g0b1xx: { can: 'PB0,PB1', usb: 'PA11,PA12', crystal: 'PF0,PF1' },
  stm32f072xb: { can: 'PB8,PB9', usb: 'PA11,PA12', crystal: 'PF0,PF1' },
  rp2040: { can: 'gpio4,gpio5' },
};

/** Enough invented commands to reach the 3.8 to 4.1 KB of a real one; all ids fit one byte. */
const INVENTED = 64;

export function forgeDictionary(options: {
  mcu: ForgeMcu;
  version: string;
  transport: KlipperTransport;
  canFrequency: number;
  seed: number;
}): Uint8Array {
  const { mcu, version, transport } = options;
  const random = randomFrom(options.seed, `dictionary ${version}`);
  const pins = PINS[isToolheadMcu(mcu) ? mcu : 'f4'];
  const config: Record<string, number | string> = {
    ADC_MAX: 4095,
    CLOCK_FREQ: CLOCK_FREQ[mcu],
    MCU: mcu,
    PWM_MAX: 255,
    ...(pins.crystal === undefined ? {} : { RESERVE_PINS_crystal: pins.crystal }),
    STATS_SUMSQ_BASE: 256,
  };
  if (transport !== 'can' && pins.usb !== undefined) config['RESERVE_PINS_USB'] = pins.usb;
  if (transport !== 'usb') {
    config['RECEIVE_WINDOW'] = 192;
    config['RESERVE_PINS_CAN'] = pins.can;
  }
  // The frequency stands in CAN nodes only, the mark in bridges only.
  if (transport === 'can') config['CANBUS_FREQUENCY'] = options.canFrequency;
  if (transport === 'bridge') config['CANBUS_BRIDGE'] = 1;

  const commands: Record<string, number> = {
    'identify offset=%u count=%c': 1,
    get_uptime: 2,
    get_clock: 3,
    get_config: 4,
  };
  const responses: Record<string, number> = {
    'identify_response offset=%u data=%.*s': 0,
    'clock clock=%u': 70,
    'config is_config=%c crc=%u is_shutdown=%c move_count=%hu': 71,
    'shutdown clock=%u static_string_id=%hu': 72,
    'is_shutdown static_string_id=%hu': 73,
  };
  const word = (): string =>
    Array.from({ length: 4 + (random() % 6) }, () => String.fromCodePoint(97 + (random() % 26))).join('');
  for (let index = 0; index < INVENTED; index++) {
    const parameters = Array.from({ length: 4 + (random() % 5) }, () => `${word()}=%u`).join(' ');
    commands[`${word()}_${word()} oid=%c ${parameters}`] = 5 + index;
    if (index % 4 === 0) responses[`${word()}_${word()} oid=%c ${parameters}`] = 74 + index / 4;
  }
  const dictionary = {
    app: 'Klipper',
    version,
    build_versions: 'gcc: (12.2.rel1-1) 12.2.1 20221205 binutils: (2.40-2+18+b1) 2.40',
    license: 'GNU GPLv3',
    config,
    commands,
    enumerations: { pin: { PA0: [0, 128] }, spi_bus: { spi1: 1, spi2: 0 } },
    responses,
  };
  return Uint8Array.from(deflateSync(Buffer.from(JSON.stringify(dictionary)), { level: 9 }));
}
