// What may be sent to a CAN node, as a table: the image, the node, what is said.
import { describe, expect, test } from '@jest/globals';
import { inspect } from '../../src/firmware/inspect.ts';
import { judgeForNode, type CanNode, type NodeImage } from '../../src/firmware/node-rules.ts';
import { CHIPS, toolheadDeployer, toolheadKatapult, toolheadKlipper } from './build-toolhead.ts';
import { refusalOf } from './refusal.ts';

const node: CanNode = {
  name: 'mcu EBBCan',
  mcu: 'stm32g0b1xx',
  launchAddress: 0x08002000,
  bitrate: 1000000,
};
const image: NodeImage = {
  kind: 'klipper',
  mcu: 'stm32g0b1xx',
  linkAddress: 0x08002000,
  transport: 'can',
  canFrequency: 1000000,
};

const verdict = (ofImage: Partial<NodeImage>, ofNode: Partial<CanNode> = {}): string => {
  try {
    judgeForNode({ ...image, ...ofImage }, { ...node, ...ofNode });
    return 'yes';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test.each<[string, Partial<NodeImage>, Partial<CanNode>, string]>([
  ['a Klipper for this node', {}, {}, 'yes'],
  ['the bitrate of the bus is not known', {}, { bitrate: null }, 'yes'],
  ['the bitrate of the image is not known', { canFrequency: null }, {}, 'yes'],
  ['another bitrate', { canFrequency: 500000 }, {}, 'can-bitrate'],
  ['another bitrate, the other way', {}, { bitrate: 500000 }, 'can-bitrate'],
  ['a bridge', { transport: 'bridge', canFrequency: null }, {}, 'wrong-transport'],
  ['USB', { transport: 'usb', canFrequency: null }, {}, 'wrong-transport'],
  ['a UART', { transport: 'serial', canFrequency: null }, {}, 'wrong-transport'],
  ['no transport', { transport: null, canFrequency: null }, {}, 'wrong-transport'],
  ['another chip', { mcu: 'stm32f072xb' }, {}, 'wrong-mcu'],
  ['another chip, the other way', {}, { mcu: 'rp2040' }, 'wrong-mcu'],
  ['no chip named', { mcu: null }, {}, 'wrong-mcu'],
  ['without a bootloader', { linkAddress: 0x08000000 }, {}, 'wrong-address'],
  ['another offset', { linkAddress: 0x08008000 }, {}, 'wrong-address'],
  ['a Katapult that launches elsewhere', {}, { launchAddress: 0x08004000 }, 'wrong-address'],
  ['an unknown offset', { linkAddress: null }, {}, 'wrong-address'],
  ['a Katapult', { kind: 'katapult', linkAddress: 0x08000000, canFrequency: null }, {}, 'wrong-address'],
  ['a Katapult linked where it may write', { kind: 'katapult' }, {}, 'wrong-address'],
  ['a stock bootloader', { kind: 'stock-bootloader', transport: null }, {}, 'wrong-address'],
  ['a deployer', { kind: 'katapult-deployer', canFrequency: null }, {}, 'deployer-refused'],
  ['something unknown', { kind: 'unknown', mcu: null, linkAddress: null }, {}, 'image-unknown-kind'],
])('%s', (_name, ofImage, ofNode, expected) => {
  expect(verdict(ofImage, ofNode)).toBe(expected);
});

test('what is wrong first is said first: a bridge for another chip at another bitrate', () => {
  expect(verdict({ transport: 'bridge', mcu: 'rp2040', linkAddress: 0x10004000 })).toBe('wrong-transport');
  expect(verdict({ mcu: 'rp2040', linkAddress: 0x10004000, canFrequency: 500000 })).toBe('wrong-mcu');
});

describe('what the user reads', () => {
  test('of a bridge image', () => {
    const refusal = refusalOf(() => judgeForNode({ ...image, transport: 'bridge' }, node));
    expect(refusal.outcome).toBe('refused');
    expect(refusal.message).toBe(
      'with this image mcu EBBCan would be a USB to CAN bridge on its own USB port, not a CAN node: it would never be seen on the bus again',
    );
    expect(refusal.advice).toMatch(/CAN bus/);
  });

  test('of a wrong bitrate: both numbers, and the cure', () => {
    const refusal = refusalOf(() => judgeForNode({ ...image, canFrequency: 250000 }, node));
    expect(refusal).toMatchObject({ outcome: 'refused', place: 'CANBUS_FREQUENCY' });
    expect(refusal.message).toMatch(/250000.*1000000/);
    expect(refusal.advice).toMatch(/speed to 1000000/);
  });

  test('of a wrong address: the one to set', () => {
    const refusal = refusalOf(() => judgeForNode({ ...image, linkAddress: 0x08000000 }, node));
    expect(refusal).toMatchObject({ outcome: 'refused', place: '0x08002000' });
    expect(refusal.message).toMatch(/0x08000000.*0x08002000/);
  });

  test.each(['deployer-refused', 'can-bitrate', 'wrong-transport'] as const)('%s is a refusal', (code) => {
    const [ofImage, ofNode] = {
      'deployer-refused': [{ ...image, kind: 'katapult-deployer' }, node],
      'can-bitrate': [image, { ...node, bitrate: 125000 }],
      'wrong-transport': [{ ...image, transport: 'usb' }, node],
    }[code] as [NodeImage, CanNode];
    const refusal = refusalOf(() => judgeForNode(ofImage, ofNode));
    expect(refusal).toMatchObject({ code, outcome: 'refused' });
    expect(refusal.place).toBeDefined();
    expect(refusal.message + refusal.advice).toMatch(/^[\x20-\x7e]+$/);
  });
});

describe.each(Object.values(CHIPS))('with passports of $mcu', (chip) => {
  const ofChip: CanNode = { name: 'node', mcu: chip.mcu, launchAddress: chip.launch, bitrate: 1000000 };
  const judge = (bytes: Uint8Array): string => {
    try {
      judgeForNode(inspect(bytes, 'image'), ofChip);
      return 'yes';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  test("only the Klipper behind Katapult, on CAN, at the bus's bitrate", () => {
    expect(judge(toolheadKlipper(chip))).toBe('yes');
    expect(judge(toolheadKlipper(chip, { base: chip.flash }))).toBe('wrong-address');
    expect(judge(toolheadKlipper(chip, { config: { CANBUS_FREQUENCY: 500000 } }))).toBe('can-bitrate');
    expect(judge(toolheadKlipper(chip, { config: { CANBUS_BRIDGE: 1 }, usb: true }))).toBe('wrong-transport');
    expect(judge(toolheadKlipper(chip, { config: {}, usb: true }))).toBe('wrong-transport');
    expect(judge(toolheadKatapult(chip))).toBe('wrong-address');
    expect(judge(toolheadDeployer(chip))).toBe('deployer-refused');
  });
});
