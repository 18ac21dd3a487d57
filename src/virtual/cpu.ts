// Virtual bench, the virtual CPU: what a program in flash turns out to be when it is started at an address.

import { BOOT2_BYTES, isBoot2 } from './boot2.ts';
import { PROTOCOL_WORD } from './katapult/frames.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';
import type { ChipSilicon } from './silicon/silicon.ts';
import { judgeKlipper } from './cpu-klipper.ts';
import { nothing, type CpuBoard, type Place, type Program } from './program.ts';
import { readSeal, sealHolds, viewOf } from './seal.ts';

export type {
  CpuBoard,
  DeployerProgram,
  KatapultProgram,
  KlipperProgram,
  KlipperWire,
  Program,
} from './program.ts';
export type ChipFlash = FlashMemory<ChipSilicon>;

const SIGNATURE = Buffer.from('CanBoot!', 'latin1');
const CPSID_I = [0x72, 0xb6] as const;
/** Only the first bytes of a bootloader are searched for its strings: the 128 KiB of an H7 sector. */
const BOOTLOADER_BYTES = 0x2_0000;

/** Where reset leads; undefined where the chip's ROM finds nothing that it would start. */
export function bootAddress(flash: ChipFlash): number | undefined {
  const { family, flashBase } = flash.mcu;
  if (family !== 'rp2040') return flashBase;
  return isBoot2(flash.peek(flashBase, BOOT2_BYTES)) ? flashBase + BOOT2_BYTES : undefined;
}

export function judgeProgram(flash: ChipFlash, board: CpuBoard, address: number): Program {
  const { mcu } = flash;
  const end = mcu.sectors.reduce((sum, sector) => Math.max(sum, sector.address + sector.sizeBytes), 0);
  if (address < mcu.flashBase || address + 64 > end) return nothing('the address is outside flash');
  const memory = flash.peek(address, end - address);
  const view = viewOf(memory);
  const stackTop = view.getUint32(0, true);
  const vector = view.getUint32(4, true);
  const inRam = mcu.ram.some((ram) => stackTop > ram.address && stackTop <= ram.address + ram.sizeBytes);
  if (!inRam) return nothing(`the stack pointer ${hex(stackTop)} is not in RAM`);
  if ((vector & 1) === 0) return nothing(`the reset vector ${hex(vector)} is not Thumb code`);
  const entry = vector - 1;
  if (entry < address || entry + 4 > end) return nothing(`the reset vector ${hex(vector)} leaves the image`);

  const seal = readSeal(memory);
  if (seal !== undefined) {
    if (!sealHolds(memory, seal, address)) return nothing('the image is torn or lies at the wrong address');
    if (seal.crystalHz !== board.crystalHz) {
      return nothing(`built for a crystal of ${seal.crystalHz} Hz, the board has ${board.crystalHz} Hz`);
    }
  }
  // What a sealed image calls its own ends with it; an older image's remains may lie behind.
  const image = seal === undefined ? memory : memory.subarray(0, seal.sizeBytes);
  if (flash.hasEccError(address, image.length === memory.length ? 64 : image.length)) {
    return nothing('a flash word of the image has an ECC error: bus fault');
  }
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  return judgeImage(bytes, board, { address, entry: entry - address, end, mcu });
}

function judgeImage(bytes: Buffer, board: CpuBoard, place: Place): Program {
  const { entry, mcu } = place;
  if (entry >= 8 && bytes.subarray(entry - 8, entry).equals(SIGNATURE)) return katapult(bytes, board, place);
  if (bytes[entry] === CPSID_I[0] && bytes[entry + 1] === CPSID_I[1]) {
    // A deployer has two vectors only, so its code begins right behind them.
    if (entry === 8) return deployer(bytes, mcu);
    return judgeKlipper(bytes, board, place);
  }
  const head = bytes.subarray(0, BOOTLOADER_BYTES);
  if (['FIRMWARE.CUR', 'firmware.bin', 'admin.txt'].every((name) => head.includes(name))) {
    return { kind: 'stock' };
  }
  return nothing('there is no code at the reset vector');
}

function katapult(bytes: Buffer, board: CpuBoard, { address, end }: Place): Program {
  const head = bytes.subarray(0, 0x2000);
  const mcu = /stm32[fgh]\d\w\dx[bx]|rp2040/.exec(head.toString('latin1'))?.[0];
  const version = /v\d+\.\d+\.\d+[-\w]*/.exec(head.toString('latin1'))?.[0];
  // A build of protocol 1.0 does not name its version anywhere.
  const protocol = version === undefined ? '1.0' : '1.1';
  const appAddress = launchAddress(head, PROTOCOL_WORD[protocol], { address, end });
  if (mcu === undefined || appAddress === undefined) return nothing('a torn Katapult');
  if (mcu !== board.mcu) return nothing(`built for ${mcu}, the board is a ${board.mcu}`);
  const transport = head.includes(Buffer.from('katapult', 'utf16le')) ? 'usb' : 'can';
  return { kind: 'katapult', mcu, version: version ?? '', protocol, transport, appAddress };
}

/** PROTO_VERSION is followed by LAUNCH_APP_ADDRESS: held in all builds of section 2. */
function launchAddress(
  head: Buffer,
  protocolWord: number,
  { address: from, end }: Pick<Place, 'address' | 'end'>,
): number | undefined {
  for (let at = 0; at + 8 <= head.length; at += 4) {
    if (head.readUInt32LE(at) !== protocolWord) continue;
    const address = head.readUInt32LE(at + 4);
    if (address > from && address < end) return address;
  }
  return undefined;
}

function deployer(bytes: Buffer, { family, flashBase }: ChipSilicon): Program {
  const signature = bytes.indexOf(SIGNATURE);
  const boot2 = family === 'rp2040' ? BOOT2_BYTES : 0;
  // The embedded image has the vector table that leads to the signature, behind its boot2 where the chip wants one.
  for (let at = 32 + boot2; at < signature; at += 4) {
    if (bytes.readUInt32LE(at + 4) === flashBase + boot2 + 1 + signature + 8 - at) {
      return { kind: 'deployer', katapult: Uint8Array.from(bytes.subarray(at - boot2)) };
    }
  }
  return nothing('a torn deployer');
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
