// What the board must show once its flash holds the new image: how it comes on USB, and with which version.
import { launchOf, type Residents } from '../firmware/boot-rules.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import type { Look } from './look.ts';
import type { FlashPlan } from './preflight.ts';
import type { UsbKind } from './watch-usb.ts';

/** How the board must show itself, from what its flash holds now. */
export interface ExpectedBoot {
  /** `null`: nothing on USB is expected (a CAN node, or no application). */
  readonly usb: Exclude<UsbKind, 'romDfu'> | null;
  readonly mcu: string;
  /** Of what runs then. Checked by `identify` where the board has a serial port, by Klipper later elsewhere. */
  readonly version: string | null;
}

/** What the flash holds once the plan is carried out; what the image does not reach is as it lay there before. */
export function residentsAfter(
  { board, image }: Pick<FlashPlan, 'board' | 'image'>,
  before: Pick<Look, 'atBase' | 'behind'>,
): Residents & { readonly bringsApplication: boolean } {
  const { flashBase } = board.mcu;
  const atBase = image.address === flashBase ? recognizeAt(image.bytes, flashBase) : before.atBase;
  const launches = launchOf(atBase, board.applicationAddress);
  const from = launches - image.address;
  const bringsApplication = from >= 0 && from < image.bytes.length;
  const application = bringsApplication ? recognizeAt(image.bytes.subarray(from), launches) : before.behind;
  return { atBase, application, bringsApplication };
}

/**
 * What the board must show once the flash holds the plan's image: firmware at the flash's start runs by itself,
 * a bootloader there launches the application behind it.
 * @param before what lay on the chip where the image does not reach
 */
export function expectedBoot(
  plan: Pick<FlashPlan, 'board' | 'image'>,
  before: Pick<Look, 'atBase' | 'behind'>,
): ExpectedBoot {
  const { mcu } = plan.board;
  const { atBase, application } = residentsAfter(plan, before);
  const runs = atBase.kind === 'klipper' ? atBase : application;
  const expect = (usb: ExpectedBoot['usb'], version: string | null) => ({ usb, mcu: mcu.name, version });
  if (runs.kind === 'klipper' && runs.transport === 'usb') return expect('klipper', runs.version);
  if (runs.kind === 'klipper' && runs.transport === 'bridge') return expect('klipperBridge', runs.version);
  // Katapult stays, and shows itself, where it finds no application.
  if (runs.kind === 'blank' && atBase.kind === 'katapult' && atBase.transport === 'usb')
    return expect('katapult', null);
  return expect(null, runs.version);
}
