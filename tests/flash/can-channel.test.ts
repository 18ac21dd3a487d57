// A CAN node as a stream of bytes: frames, a full queue, and a bus that ends.
import { describe, expect, test } from '@jest/globals';
import { openCanChannel } from '../../src/flash/can-channel.ts';
import type { CanBus, CanFrame, CanTrouble } from '../../src/ports/can.ts';
import { OctopusError } from '../../src/errors.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { failureOf } from '../support/bench.ts';
import { bytesOf, hexOf } from '../support/katapult-peer.ts';

class FakeBus implements CanBus {
  readonly sent: string[] = [];
  /** What the next sends say; `queued` behind its end. */
  says: ('queued' | 'full' | Error)[] = [];
  isClosed = false;
  tell: (trouble: CanTrouble) => void = () => {};
  hear: (frame: CanFrame) => void = () => {};
  listeners = 0;

  async send({ id, data }: CanFrame): Promise<'queued' | 'full'> {
    const said = this.says.shift() ?? 'queued';
    if (said instanceof Error) throw said;
    this.sent.push(`${said === 'full' ? 'full ' : ''}${id.toString(16)}#${hexOf(data)}`);
    return said;
  }
  onFrame(listener: (frame: CanFrame) => void) {
    this.hear = listener;
    this.listeners += 1;
    return () => (this.listeners -= 1);
  }
  onTrouble(listener: (trouble: CanTrouble) => void) {
    this.tell = listener;
    this.listeners += 1;
    return () => (this.listeners -= 1);
  }
  async close(): Promise<void> {
    this.isClosed = true;
  }
}

function setUp() {
  const clock = new VirtualClock();
  const bus = new FakeBus();
  return { clock, bus, channel: openCanChannel({ clock }, bus, 0x81, 'can7') };
}

// The ids and frames of the transcript in klipper-katapult-dfu.md section 4.
test('bytes go out in frames of eight to the node, the rest in a shorter one', async () => {
  const { bus, channel } = setUp();
  await channel.write(bytesOf('01881100f17c9903'));
  await channel.write(bytesOf('01881401008000088cd19903'));
  await channel.write(new Uint8Array(0));
  expect(bus.sent).toEqual(['202#01881100f17c9903', '202#0188140100800008', '202#8cd19903']);
});

test('what comes at the id above is read in order; other frames are not its', async () => {
  const { bus, channel, clock } = setUp();
  bus.hear({ id: 0x203, data: bytesOf('0188a00316000000') });
  bus.hear({ id: 0x202, data: bytesOf('ff') });
  bus.hear({ id: 0x3f1, data: bytesOf('20ac11f42fe5aa11') });
  bus.hear({ id: 0x203, data: new Uint8Array(0) });
  bus.hear({ id: 0x203, data: bytesOf('ac11f42fe5aa0000') });
  expect(hexOf((await channel.read(1000)) ?? new Uint8Array(0))).toBe('0188a00316000000');
  expect(hexOf((await channel.read(1000)) ?? new Uint8Array(0))).toBe('ac11f42fe5aa0000');
  expect(clock.now()).toBe(0);
});

test('a read ends with the frame it waits for, or with its time', async () => {
  const { bus, channel, clock } = setUp();
  const waiting = channel.read(1000);
  await clock.sleep(10);
  bus.hear({ id: 0x203, data: bytesOf('55') });
  expect(hexOf((await waiting) ?? new Uint8Array(0))).toBe('55');
  expect([clock.now(), clock.sleepers]).toEqual([10, 0]);
  expect([await channel.read(20), clock.now()]).toEqual([undefined, 30]);
});

describe('a full queue', () => {
  test('the same frame again, until it is taken; none is left out', async () => {
    const { bus, channel, clock } = setUp();
    bus.says = ['queued', 'full', 'full', 'queued'];
    await channel.write(bytesOf('000102030405060708090a0b0c0d0e0f1011'));
    expect(bus.sent).toEqual([
      '202#0001020304050607',
      'full 202#08090a0b0c0d0e0f',
      'full 202#08090a0b0c0d0e0f',
      '202#08090a0b0c0d0e0f',
      '202#1011',
    ]);
    expect(clock.now()).toBeLessThan(1);
  });

  test('that stays full: no-device, after a second, with waits that grow', async () => {
    const { bus, channel, clock } = setUp();
    bus.says = Array.from({ length: 1000 }, () => 'full' as const);
    expect(await failureOf(channel.write(bytesOf('00')))).toMatchObject({
      code: 'no-device',
      place: 'can7',
      advice: expect.stringContaining('ip link set can7 down'),
    });
    expect(clock.now()).toBeGreaterThanOrEqual(1000);
    expect(clock.now()).toBeLessThan(1100);
    expect(bus.sent.length).toBeLessThan(80);
  });
});

describe('the end of the bus', () => {
  test.each([
    ['gone', 'device-gone', /went away/],
    ['down', 'device-gone', /went away/],
    ['bus-off', 'no-device', /bus-off/],
  ] as const)('%s: %s, for a read that waits and for all that follows', async (trouble, code, message) => {
    const { bus, channel, clock } = setUp();
    const waiting = failureOf(channel.read(1000));
    await clock.sleep(5);
    bus.tell(trouble);
    expect(await waiting).toMatchObject({ code, place: 'can7', message: expect.stringMatching(message) });
    expect(clock.now()).toBe(5);
    expect((await failureOf(channel.write(bytesOf('00')))).code).toBe(code);
    expect((await failureOf(channel.read(1000))).code).toBe(code);
    expect(bus.sent).toEqual([]);
  });

  test('what came before it is still read', async () => {
    const { bus, channel } = setUp();
    bus.hear({ id: 0x203, data: bytesOf('55') });
    bus.tell('gone');
    expect(hexOf((await channel.read(1000)) ?? new Uint8Array(0))).toBe('55');
    expect((await failureOf(channel.read(1000))).code).toBe('device-gone');
  });

  test('noise on the bus is not its end', async () => {
    const { bus, channel } = setUp();
    bus.tell('no-acknowledge');
    bus.tell('disturbed');
    await channel.write(bytesOf('00'));
    expect(await channel.read(10)).toBeUndefined();
  });

  test('a send that finds no interface: device-gone', async () => {
    const { bus, channel } = setUp();
    bus.says = [new OctopusError('no-device', 'can7 is gone', { advice: '', place: 'can7' })];
    expect((await failureOf(channel.write(bytesOf('00')))).code).toBe('device-gone');
    bus.says = [new TypeError('a fault')];
    await expect(channel.write(bytesOf('00'))).rejects.toThrow('a fault');
  });

  test('closing it closes the bus, ends a read that waits, and hears nothing more', async () => {
    const { bus, channel, clock } = setUp();
    const waiting = channel.read(1000);
    await channel.close();
    expect([await waiting, bus.isClosed, bus.listeners, clock.now()]).toEqual([undefined, true, 0, 0]);
  });
});
