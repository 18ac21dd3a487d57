// The table of a CAN bus as people read it, and the lines they paste.
import { expect, test } from '@jest/globals';
import { canbusSummary } from '../../src/cli/canbus-summary.ts';
import { statusSummary } from '../../src/cli/summaries.ts';

type Answer = Parameters<typeof canbusSummary>[0];

const plain = {
  name: null,
  version: null,
  assigned: false,
  bridge: false,
  transport: 'can',
  busPath: null,
} as const;
const NODES: Answer['nodes'] = [
  {
    ...plain,
    uuid: '90a4ae022dfc',
    application: 'klipper',
    name: 'mcu',
    version: 'v0.13.0-1',
    assigned: true,
    bridge: true,
    transport: 'usb bridge',
    busPath: '1-1.2',
  },
  { ...plain, uuid: '11aa22bb33cc', application: 'klipper', name: 'mcu ebb', assigned: true },
  { ...plain, uuid: 'aa0000000001', application: 'klipper' },
  { ...plain, uuid: 'aa0000000002', application: 'katapult' },
];

test('nodes in columns, then what printer.cfg lacks, then what is on USB, then notes', () => {
  const usb = [
    { busPath: '1-1.4', mcu: 'stm32g0b1xx', application: 'katapult', bridge: false, uuid: '44bd831d1781' },
  ] as const;
  expect(canbusSummary({ interface: 'can0', nodes: NODES, usb, notes: ['Something.'] })).toEqual([
    '4 nodes on can0:',
    '  uuid          application  name       version',
    '  90a4ae022dfc  klipper      [mcu]      v0.13.0-1  the bridge, on USB 1-1.2',
    '  11aa22bb33cc  klipper      [mcu ebb]  -          did not answer',
    '  aa0000000001  klipper      -          -',
    '  aa0000000002  katapult     -          -',
    'In no section of printer.cfg yet:',
    '  canbus_uuid: aa0000000001',
    '  canbus_uuid: aa0000000002   # Katapult: flash Klipper first',
    'Not on this bus but on USB; as a CAN node each has this uuid:',
    '  uuid          application  USB    chip',
    '  44bd831d1781  katapult     1-1.4  stm32g0b1xx',
    '  Something.',
  ]);
});

test('another interface stands in the lines to paste; one node; nobody', () => {
  const [, , node] = NODES;
  if (node === undefined) throw new Error('no node');
  expect(canbusSummary({ interface: 'can1', nodes: [node], usb: [], notes: [] })).toEqual([
    '1 node on can1:',
    '  uuid          application  name  version',
    '  aa0000000001  klipper      -     -',
    'In no section of printer.cfg yet:',
    '  canbus_uuid: aa0000000001',
    '  canbus_interface: can1',
  ]);
  expect(canbusSummary({ interface: 'can0', nodes: [], usb: [], notes: [] })).toEqual([
    'Nobody on can0 answered.',
  ]);
});

test('the identity card in the status', () => {
  const identity = {
    chipId: '0e002b00135053424e363620',
    chipIdFrom: 'rom',
    strangerOnUsb: '4a002e000250534e4e313120',
    usbSerial: '0E002B00135053424E363620',
    dfuSerial: { kind: 'constant', serials: ['STM32FxSTM32'] },
    canUuid: 'ac11f42fe5aa',
    busPath: '1-1.2',
    section: 'mcu',
    canbusUuid: '99196bb712d5',
    isCanbusUuidRight: false,
  } as const;
  const board = {
    board: 'main',
    title: 'An Octopus',
    mcu: 'stm32f446xx',
    devices: [],
    klipper: 'ready',
    identity,
    sectionOfUuid: null,
    backups: 0,
    lastFlash: null,
    unfinishedJob: null,
    replacement: null,
    memory: {},
  } as const;
  const lines = statusSummary({ boards: [board], jobs: [], daemon: null });
  expect(lines.slice(2, 9)).toEqual([
    '  chip        0e002b00135053424e363620 (read by its ROM)',
    '  stranger    chip 4a002e000250534e4e313120 is in its place on USB: octopus doctor',
    '  USB serial  0E002B00135053424E363620',
    '  DFU serial  STM32FxSTM32 (not unique)',
    '  CAN uuid    ac11f42fe5aa',
    '  port        USB 1-1.2, by its reset wire',
    "  printer.cfg [mcu], canbus_uuid 99196bb712d5 is another board's",
  ]);
  const unknown = { ...identity, chipId: null, chipIdFrom: null, strangerOnUsb: null, canUuid: null };
  const bare = { ...unknown, usbSerial: null, busPath: null, section: null, canbusUuid: null };
  const none = { ...bare, isCanbusUuidRight: null, dfuSerial: { kind: 'of-chip', serials: [] } } as const;
  expect(
    statusSummary({ boards: [{ ...board, identity: none }], jobs: [], daemon: null }).slice(2, 4),
  ).toEqual(['  chip        id not known yet: octopus reset learns it', '  Klipper     ready']);
});
