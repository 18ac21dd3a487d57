// Virtual bench, what lies in the flash of a toolhead that somebody has used.

import type { ChipFlash } from './cpu.ts';
import { APP_ADDRESS, bootAddress, forgeMcu } from './forge-parts.ts';
import { forgeKatapult, forgeKlipper, OLD_KLIPPER, type ForgeKatapult, type ForgeKlipper } from './forge.ts';
import type { NodeState, ToolheadData } from './toolhead-data.ts';

export interface ToolheadFirmware {
  /** Klipper's. Default: an old one. */
  readonly version?: string;
  /** Of the bus it was built for. */
  readonly bitrate: number;
  readonly katapultProtocol?: '1.0' | '1.1';
}

/** Toolheads come by the dozen, their firmware by the handful. */
const forged = new Map<string, Uint8Array>();

export function fillToolhead(
  flash: ChipFlash,
  toolhead: ToolheadData,
  state: NodeState,
  firmware: ToolheadFirmware,
): void {
  if (state === 'blank') return;
  const mcu = forgeMcu(toolhead.mcu);
  const { flashBase } = flash.mcu;
  const { version = OLD_KLIPPER, bitrate, katapultProtocol } = firmware;
  const { crystalHz } = toolhead;
  const klipper: ForgeKlipper = { mcu, version, transport: 'can', canFrequency: bitrate, crystalHz };
  if (state === 'no-katapult') {
    put(flash, flashBase, klipperImage({ ...klipper, linkAddress: bootAddress(mcu) }));
    return;
  }
  put(
    flash,
    flashBase,
    katapultImage({
      mcu,
      transport: 'can',
      crystalHz,
      ...(katapultProtocol === undefined ? {} : { protocol: katapultProtocol }),
    }),
  );
  if (state === 'katapult-empty') return;
  const image = klipperImage(klipper);
  // A write that ended at two thirds: the vectors are whole, so it is started and crashes.
  const end = state === 'torn' ? Math.floor((image.length * 2) / 3) : image.length;
  put(flash, APP_ADDRESS[mcu], image.slice(0, end));
}

function klipperImage(options: ForgeKlipper): Uint8Array {
  return remembered(`klipper ${JSON.stringify(options)}`, () => forgeKlipper(options));
}

function katapultImage(options: ForgeKatapult): Uint8Array {
  return remembered(`katapult ${JSON.stringify(options)}`, () => forgeKatapult(options));
}

function remembered(key: string, forge: () => Uint8Array): Uint8Array {
  const image = forged.get(key) ?? forge();
  forged.set(key, image);
  return image;
}

/** Whole words only, so the last one is filled up with 0xFF. */
function put(flash: ChipFlash, address: number, image: Uint8Array): void {
  const word = flash.mcu.writeOnceWordBytes ?? 4;
  const padded = new Uint8Array(Math.ceil(image.length / word) * word).fill(0xff);
  padded.set(image);
  flash.load(address, padded);
}
