// The bytes below were made by Klipper's own klippy/msgproto.py (84104bbbd), driven by hand: create_command,
// crc16_ccitt, PT_uint32.encode. docs/Protocol.md describes them and shows no bytes.
import { expect, test } from '@jest/globals';
import { inflateSync } from 'node:zlib';
import { createBench } from '../../src/virtual/bench.ts';
import { forgeDictionary } from '../../src/virtual/forge-dictionary.ts';
import { KlipperMcu } from '../../src/virtual/klipper-mcu.ts';
import { decodeVlq, encodeVlq, frameBlock } from '../../src/virtual/klipper-wire.ts';

const DICTIONARY = forgeDictionary({
  mcu: 'stm32f446xx',
  version: 'v0.12.0-85-gd785b396',
  transport: 'usb',
  canFrequency: 0,
  seed: 1,
});

function mcu() {
  const sent: string[] = [];
  const firmware = new KlipperMcu(
    DICTIONARY,
    () => 0,
    (block) => sent.push(Buffer.from(block).toString('hex')),
  );
  const talk = (hex: string): string[] => {
    sent.length = 0;
    firmware.receive(Buffer.from(hex, 'hex'));
    return [...sent];
  };
  return { firmware, talk };
}

test('the integers of Protocol.md, at the limits of each size', () => {
  const vectors: [number, string][] = [
    [-32, '60'],
    [-33, 'ff5f'],
    [95, '5f'],
    [96, '8060'],
    [-4096, 'e000'],
    [12287, 'df7f'],
    [12288, '80e000'],
    [-524288, 'e08000'],
    [1572863, 'dfff7f'],
    [1572864, '80e08000'],
    [-67108864, 'e0808000'],
    [201326591, 'dfffff7f'],
    [201326592, '80e0808000'],
    [2147483647, '87ffffff7f'],
  ];
  for (const [value, hex] of vectors) {
    expect(Buffer.from(encodeVlq(value)).toString('hex')).toBe(hex);
    expect(decodeVlq(Buffer.from(hex, 'hex'), 0)).toEqual({ value, next: hex.length / 2 });
  }
});

test('identify, the first two requests', () => {
  const { talk } = mcu();
  const first = Buffer.from(DICTIONARY.subarray(0, 40)).toString('hex');
  const second = Buffer.from(DICTIONARY.subarray(40, 80)).toString('hex');
  // Answer: length 0x30, sequence one on, id 0, offset, 40 bytes; then the empty block that acknowledges.
  const [answer, ack] = talk('08100100285e9f7e');
  expect(answer?.slice(0, -6)).toBe(`3011000028${first}`);
  expect(answer?.slice(-2)).toBe('7e');
  expect(ack).toBe('05118f087e');
  expect(talk('0811012828afd77e')[0]?.slice(0, -6)).toBe(`3012002828${second}`);
});

test('a block out of order gets a nak with the number that is due', () => {
  const { talk } = mcu();
  expect(talk('091201a0002831ed7e')).toEqual(['05109e817e']);
  expect(talk('08100100285e9f7e')).toHaveLength(2);
});

test('a bad CRC gets one nak, and the next good block is understood', () => {
  const { talk } = mcu();
  expect(talk('08100100285e9e7e')).toEqual(['05109e817e']);
  expect(talk('ffff7e')).toEqual([]);
  expect(talk('7e7e08100100285e9f7e')).toHaveLength(2);
});

test('blocks may come in pieces', () => {
  const { talk } = mcu();
  expect(talk('081001')).toEqual([]);
  expect(talk('00285e9f')).toEqual([]);
  expect(talk('7e')).toHaveLength(2);
});

test('an answer that fits no block is dropped, and acknowledged all the same', () => {
  const { talk } = mcu();
  const ask = Buffer.from(frameBlock(0x10, Uint8Array.of(1, 0, ...encodeVlq(57)))).toString('hex');
  expect(talk(ask)).toEqual(['05118f087e']);
});

test('an unknown command shuts the firmware down, which still identifies itself', () => {
  const { firmware, talk } = mcu();
  talk(Buffer.from(frameBlock(0x10, Uint8Array.of(0x5f))).toString('hex'));
  expect(firmware.shutDown).toBe(true);
  expect(talk('0811012828afd77e')).toHaveLength(2);
});

test('over the tty of the board: the whole dictionary, held by Klipper until its service stops', async () => {
  const bench = await createBench();
  await expect(bench.serial.open('/dev/ttyACM0')).rejects.toMatchObject({ code: 'busy' });
  await bench.printer.stopKlipper();
  const tty = await bench.serial.open(
    '/dev/serial/by-id/usb-Klipper_stm32f446xx_29002C001151383437303738-if00',
  );
  await expect(bench.serial.open('/dev/ttyACM0')).rejects.toMatchObject({ code: 'busy' });
  const parts: Buffer[] = [];
  for (let sequence = 0; ; sequence = (sequence + 1) % 16) {
    const offset = parts.reduce((sum, part) => sum + part.length, 0);
    await tty.write(frameBlock(0x10 | sequence, Uint8Array.of(1, ...encodeVlq(offset), 40)));
    const bytes: number[] = [];
    for (let got = await tty.read(20); got !== undefined; got = await tty.read(20)) bytes.push(...got);
    const block = Buffer.from(bytes.slice(0, bytes[0]));
    const dataAt = (decodeVlq(block, 3)?.next ?? 0) + 1;
    const part = block.subarray(dataAt, -3);
    if (part.length === 0) break;
    parts.push(part);
  }
  const dictionary: { app: string; version: string } = JSON.parse(
    inflateSync(Buffer.concat(parts)).toString('utf8'),
  );
  expect(dictionary).toMatchObject({ app: 'Klipper', version: 'v0.12.0-85-gd785b396' });
  bench.lines.drive('nrst', 'low');
  await expect(tty.read(5000)).rejects.toMatchObject({ code: 'device-gone' });
});

test('a device number is not given again while its old node is open', async () => {
  const bench = await createBench();
  await bench.printer.stopKlipper();
  const tty = await bench.serial.open('/dev/ttyACM0');
  await bench.pressReset();
  await bench.clock.sleep(2000);
  expect((await bench.usb.list())[0]?.ttyPath).toBe('/dev/ttyACM1');
  await tty.close();
});

test('the next program finds the sequence number where the last one left it', async () => {
  const bench = await createBench();
  await bench.printer.stopKlipper();
  const first = await bench.serial.open('/dev/ttyACM0');
  await first.write(Buffer.from('08100100285e9f7e', 'hex'));
  // On the wire, and not answered yet.
  await bench.clock.sleep(1);
  await first.close();
  await bench.clock.sleep(100);
  const second = await bench.serial.open('/dev/ttyACM0');
  // The answers that nobody fetched come first, in the packets in which they lay there.
  expect([(await second.read(100))?.length, (await second.read(100))?.length]).toEqual([48, 5]);
  await second.write(Buffer.from('08100100285e9f7e', 'hex'));
  expect(Buffer.from((await second.read(100)) ?? []).toString('hex')).toBe('05118f087e');
});
