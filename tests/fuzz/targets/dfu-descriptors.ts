// Fuzz: what a DfuSe device says of itself. Real descriptors, spoilt: read as a second reader reads them, or refused.
import {
  decodeString,
  describeDfu,
  parseMemoryName,
  type MapSector,
} from '../../../src/protocol/dfu-descriptor.ts';
import type { DfuTransfer, TransferAnswer } from '../../../src/protocol/dfu.ts';
import { loadMcu } from '../../../src/virtual/silicon/mcu-data.ts';
import { romDescriptors } from '../../../src/virtual/silicon/rom-descriptors.ts';
import { talkWith } from '../../protocol/talk.ts';
import { join, mutateBytes } from '../bytes.ts';
import { answerOr, holds, target, type Fate } from '../target.ts';
import { mutateText } from '../text.ts';

interface Device {
  readonly configuration: Uint8Array;
  readonly name: Uint8Array;
  /** The transfer, counted from 0, that is answered with this instead. */
  readonly silent: { readonly n: number; readonly how: TransferAnswer } | undefined;
}

const CHIPS = ['stm32f446xx', 'stm32f429xx', 'stm32f407xx', 'stm32h723xx'].map((name) =>
  romDescriptors(loadMcu(name), { serialAddend: 0, claimsLargestFlash: false }, new Uint8Array(12)),
);
/** real-silicon.md 5: other chips' names, and all that the format has. */
const NAMES = [
  '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,011*128Kg',
  '@Internal Flash   /0x08000000/64*02Kg',
  '@Internal Flash  /0x08000000/01*016Kg/0x08100000/01*016Kg',
  '@OTP Memory /0x1FFF7800/01*512 e,01*016 e',
  '@Internal Flash  /0xFFFFFC00/01*001Kg',
];
const PARTS = [
  '/0x',
  ',01*128Kg',
  '999*9999Mg',
  '/0xFFFFFFFF/',
  '/0x08100000/04*016Kg',
  ' e',
  '000*001Kg',
  '@',
];
const ADDRESSES = 2 ** 32;

export const dfuDescriptors = target<Device>({
  name: 'dfu-descriptors',
  show: ({ configuration, name }) => join(configuration, name),
  input: (random) => {
    const chip = random.pick(CHIPS);
    const real = chip.strings.get(random.pick([4, 6])) ?? chip.strings.get(6) ?? chip.strings.get(4);
    const plain = random.oneIn(2) ? decodeString(real ?? new Uint8Array(0)) : random.pick(NAMES);
    const text = random.oneIn(3) ? plain : mutateText(random, plain, PARTS);
    const name = join(Uint8Array.of((2 + 2 * text.length) & 0xff, 3), Buffer.from(text, 'utf16le'));
    return {
      configuration: random.oneIn(2)
        ? chip.configuration
        : mutateBytes(random, chip.configuration, { most: 3 }),
      name: random.oneIn(2) ? name : mutateBytes(random, name, { most: 2 }),
      silent: random.oneIn(16)
        ? {
            n: random.below(2),
            how: random.pick(['stall', 'timeout', 'ok', new Uint8Array(random.below(4))] as const),
          }
        : undefined,
    };
  },
  check: (device): Fate => {
    const answer = (request: DfuTransfer, n: number): TransferAnswer => {
      if (device.silent?.n === n) return device.silent.how;
      if (request.kind !== 'in') return 'stall';
      return (request.setup.value >> 8 === 2 ? device.configuration : device.name).slice(0, request.length);
    };
    const met = answerOr(['bad-descriptor'], () => talkWith(describeDfu(), answer));
    if ('code' in met) return met.code;
    const { memoryName, sectors, transferSizeBytes } = met.answer.result;
    holds(/^@[ -~]*$/.test(memoryName), `named ${JSON.stringify(memoryName)}`);
    holds(
      Number.isInteger(transferSizeBytes) && transferSizeBytes >= 32,
      `blocks of ${transferSizeBytes} bytes`,
    );
    holds(isSame(sectors, readMap(memoryName)), `${memoryName} is read as ${describe(sectors)}`);
    for (const { address, sizeBytes } of sectors)
      holds(
        sizeBytes > 0 && address + sizeBytes <= ADDRESSES,
        `a sector of ${sizeBytes} bytes at ${address}`,
      );
    // What was taken is taken when it is asked again.
    holds(isSame(parseMemoryName(memoryName), sectors), 'read again it is another map');
    return 'taken';
  },
  fates: ['taken', 'bad-descriptor'],
});

/** UM0424, letter by letter; undefined where the name is none. */
function readMap(name: string): MapSector[] | undefined {
  const sectors: MapSector[] = [];
  const [, ...zones] = name.split('/');
  if (zones.length === 0 || zones.length % 2 !== 0) return undefined;
  for (let zone = 0; zone < zones.length; zone += 2) {
    const start = zones[zone] ?? '';
    if (!start.startsWith('0x') || start.length < 3 || start.length > 10) return undefined;
    let address = Number(start);
    if (!Number.isInteger(address)) return undefined;
    for (const part of (zones[zone + 1] ?? '').split(',')) {
      const [count = '', size = '', ...more] = part.trim().split('*');
      const kind = part.trimStart().trimEnd().at(-1) ?? '';
      const unit = size.at(-2) ?? '';
      const digits = size.slice(0, -2);
      if (more.length > 0 || !isNumber(count, 3) || !isNumber(digits, 4) || !'abcdefg'.includes(kind))
        return undefined;
      const unitBytes = { ' ': 1, B: 1, K: 1024, M: 1_048_576 }[unit];
      if (unitBytes === undefined || Number(digits) === 0) return undefined;
      const rights = kind.charCodeAt(0) - 96;
      for (let n = 0; n < Number(count); n++, address += Number(digits) * unitBytes)
        sectors.push({
          address,
          sizeBytes: Number(digits) * unitBytes,
          readable: rights % 2 === 1,
          erasable: (rights >> 1) % 2 === 1,
          writable: rights >= 4,
        });
    }
  }
  return sectors;
}

const isNumber = (text: string, most: number) =>
  text.length > 0 && text.length <= most && [...text].every((letter) => letter >= '0' && letter <= '9');

function isSame(one: readonly MapSector[], other: readonly MapSector[] | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

const describe = (sectors: readonly MapSector[]) =>
  sectors
    .map(({ address, sizeBytes }) => `${address.toString(16)}+${sizeBytes}`)
    .join(' ')
    .slice(0, 300);
