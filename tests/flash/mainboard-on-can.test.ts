// An Octopus whose Klipper talks CAN: as a node on an adapter's bus, flashed like a toolhead; and as the bridge itself, asked
// over its own interface for the Katapult that lies below it.
import { expect, test } from '@jest/globals';
import { canUuid } from '../../src/protocol/uuid.ts';
import { uidBytes } from '../../src/virtual/board-data.ts';
import { lockOfBus } from '../../src/flash/bus-lock.ts';
import { flash } from '../../src/flash/flash.ts';
import { expectSafe, failureOf, flashBytes, klipperFor, orderFor, setUp } from '../support/bench.ts';
import { setUpKnown } from '../support/walks.ts';

const NEW = 'v0.13.0-1-gabcdef0';

test('a node with Katapult on CAN below it, which no wire leads to', async () => {
  const rig = await setUp({ state: 'can-node', can: { nodes: [{ nodeId: 9 }] } });
  const uuid = canUuid(uidBytes(rig.bench.board.data));
  const place = { ...rig.place, pins: undefined, can: { interfaceName: 'can0', uuid } };
  const image = klipperFor(rig, { transport: 'can' });
  const result = await flash(rig.kit, { ...orderFor(rig, image), place }, () => {});
  expect(result).toMatchObject({
    state: 'done',
    verified: true,
    bootloader: expect.stringMatching(/^Katapult/),
    boot: `Klipper ${NEW} on can0 ${uuid}`,
  });
  expect(rig.bench.board.klipper).toMatchObject({ version: NEW, transport: 'can' });
  expectSafe(rig);
  rig.bench.dispose();
});

test.each(['with wires', 'without wires'])('%s a node has its bus for itself', async (wires) => {
  const rig = await setUp({ clock: 'hasty', state: 'can-node', can: { nodes: [{ nodeId: 9 }] } });
  const uuid = canUuid(uidBytes(rig.bench.board.data));
  const can = { interfaceName: 'can0', uuid };
  const place = { ...rig.place, can, ...(wires === 'with wires' ? {} : { pins: undefined }) };
  const image = klipperFor(rig, { transport: 'can' });
  await rig.bench.locks.acquire(lockOfBus('can0'));
  const order = { ...orderFor(rig, image), place };
  expect(await failureOf(flash(rig.kit, order, () => {}))).toMatchObject({ code: 'busy', place: 'can:can0' });
  expectSafe(rig);
  rig.bench.dispose();
});

test('a bridge over Katapult: by the request on its own can0, without the ROM, and asked there for its version', async () => {
  const rig = await setUpKnown({ state: 'bridge-katapult', can: { nodes: [{}] } });
  rig.bench.printer.wire = 'can';
  let enteredRom = false;
  rig.bench.usb.onChange(({ device }) => {
    enteredRom ||= device.productId === 0xdf11;
  });
  const result = await flashBytes(rig, klipperFor(rig, { transport: 'bridge' }));
  expect(result).toMatchObject({
    state: 'done',
    verified: true,
    bootloader: expect.stringMatching(/^Katapult/),
  });
  expect(result.boot).toMatch(new RegExp(`^bridge on USB \\S+: Klipper ${NEW} on can0 `));
  expect(result.notes.join('\n')).not.toMatch(/did not come/);
  expect(enteredRom).toBe(false);
  expect(rig.bench.board.klipper).toMatchObject({ version: NEW, transport: 'bridge' });
  expectSafe(rig);
  rig.bench.dispose();
});
