// design, "What may be written where", as a table: what the image is, what lies at the flash's start, what is said.
import { expect, test } from '@jest/globals';
import type { FirmwareKind } from '../../src/firmware/passport.ts';
import { judgeWrite, type AtFlashBase } from '../../src/firmware/write-rules.ts';

const BASE = 0x08000000;
const APP = 0x08008000;
const blank: AtFlashBase = { kind: 'blank', launchAddress: null, version: null };
const bare: AtFlashBase = { kind: 'klipper', launchAddress: null, version: 'v0.12' };
const stock: AtFlashBase = { kind: 'stock-bootloader', launchAddress: null, version: null };
const katapult: AtFlashBase = { kind: 'katapult', launchAddress: APP, version: 'v0.0.1' };
const katapultElsewhere: AtFlashBase = { kind: 'katapult', launchAddress: 0x0800c000, version: 'v0.0.1' };
const katapultUnclear: AtFlashBase = { kind: 'katapult', launchAddress: null, version: null };
const unknown: AtFlashBase = { kind: 'unknown', launchAddress: null, version: null };

const verdict = (
  kind: FirmwareKind,
  address: number,
  resident: AtFlashBase,
  replaceBootloader = false,
): string => {
  try {
    judgeWrite({ kind, address, flashBase: BASE, applicationAddress: APP, replaceBootloader }, resident);
    return 'yes';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test.each<[FirmwareKind, number, string, AtFlashBase, string, string]>([
  // kind, address, resident, without and with replace_bootloader
  ['klipper', APP, 'stock bootloader', stock, 'yes', 'yes'],
  ['klipper', APP, 'katapult', katapult, 'yes', 'yes'],
  ['klipper', APP, 'katapult that launches elsewhere', katapultElsewhere, 'wrong-address', 'wrong-address'],
  [
    'klipper',
    APP,
    'katapult without a readable launch address',
    katapultUnclear,
    'wrong-address',
    'wrong-address',
  ],
  ['klipper', APP, 'blank', blank, 'address-behind-nothing', 'address-behind-nothing'],
  ['klipper', APP, 'bare Klipper', bare, 'address-behind-nothing', 'address-behind-nothing'],
  ['klipper', APP, 'unknown', unknown, 'address-behind-nothing', 'address-behind-nothing'],
  ['klipper', 0x0800c000, 'stock bootloader', stock, 'wrong-address', 'wrong-address'],
  ['klipper', 0x0800c000, 'katapult that launches there', katapultElsewhere, 'yes', 'yes'],
  ['klipper', BASE, 'blank', blank, 'yes', 'yes'],
  ['klipper', BASE, 'bare Klipper', bare, 'yes', 'yes'],
  ['klipper', BASE, 'stock bootloader', stock, 'bootloader-would-be-lost', 'yes'],
  ['klipper', BASE, 'katapult', katapult, 'bootloader-would-be-lost', 'yes'],
  ['klipper', BASE, 'unknown', unknown, 'bootloader-would-be-lost', 'yes'],
  ['katapult', BASE, 'blank', blank, 'yes', 'yes'],
  ['katapult', BASE, 'stock bootloader', stock, 'bootloader-would-be-lost', 'yes'],
  ['stock-bootloader', BASE, 'katapult', katapult, 'bootloader-would-be-lost', 'yes'],
  ['katapult-deployer', APP, 'stock bootloader', stock, 'deployer-by-dfu', 'deployer-by-dfu'],
  ['katapult-deployer', APP, 'blank', blank, 'deployer-by-dfu', 'deployer-by-dfu'],
])('%s at 0x%s over %s', (kind, address, _name, resident, plain, replacing) => {
  expect(verdict(kind, address, resident)).toBe(plain);
  expect(verdict(kind, address, resident, true)).toBe(replacing);
});
