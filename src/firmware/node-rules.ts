// Which image may be sent to a node on a CAN bus through its Katapult. Pure: asked once with what the board's data says, before
// the node is disturbed, and again with what its Katapult answered.
import { OctopusError, hex } from '../errors.ts';
import type { Passport } from './passport.ts';

export type NodeImage = Pick<Passport, 'kind' | 'mcu' | 'linkAddress' | 'transport' | 'canFrequency'>;

export interface CanNode {
  /** For messages: its name in printer.cfg, or interface and uuid. */
  readonly name: string;
  /** As Katapult's CONNECT writes it: `stm32g0b1xx`. */
  readonly mcu: string;
  /** Where its Katapult launches the application. */
  readonly launchAddress: number;
  /** Of the bus, bits per second; null where it is not known (the interface of a Klipper bridge does not tell). */
  readonly bitrate: number | null;
}

/** What a node would be after an image that is not for CAN, in words. */
const LOST_AS: Readonly<Record<'usb' | 'bridge' | 'serial', string>> = {
  usb: 'a device on its own USB port',
  bridge: 'a USB to CAN bridge on its own USB port',
  serial: 'a device on its UART',
};

/**
 * Throws the refusal, or returns. A refusal has sent nothing.
 * Errors: `image-unknown-kind`, `deployer-refused`, `wrong-transport`, `wrong-mcu`, `wrong-address`, `can-bitrate`.
 */
export function judgeForNode(image: NodeImage, node: CanNode): void {
  judgeKind(image, node);
  judgeTransport(image, node);
  judgePlace(image, node);
  judgeBitrate(image, node);
}

function judgeKind({ kind, linkAddress }: NodeImage, node: CanNode): void {
  switch (kind) {
    case 'klipper':
      return;
    case 'unknown':
      throw new OctopusError('image-unknown-kind', `the image for ${node.name} is not recognised`, {
        place: 'image',
        advice: `Give the klipper.bin that was built for ${node.mcu} with CAN.`,
      });
    case 'katapult-deployer':
      throw new OctopusError(
        'deployer-refused',
        `the image for ${node.name} is a Katapult deployer, which replaces the bootloader: a power loss while it works leaves the node without one`,
        {
          place: 'image',
          advice: 'Give klipper.bin. Katapult itself is updated by USB, with the BOOT button held.',
        },
      );
    case 'katapult':
    case 'stock-bootloader':
      throw new OctopusError(
        'wrong-address',
        `the image for ${node.name} is a bootloader${linkAddress === null ? '' : ` for ${hex(linkAddress)}`}, and a Katapult never writes over itself`,
        {
          place: 'image',
          advice: 'Give klipper.bin. Katapult itself is updated by USB, with the BOOT button held.',
        },
      );
  }
}

function judgeTransport({ transport }: NodeImage, node: CanNode): void {
  if (transport === 'can') return;
  const after =
    transport === null ? 'something that does not talk CAN' : `${LOST_AS[transport]}, not a CAN node`;
  throw new OctopusError(
    'wrong-transport',
    `with this image ${node.name} would be ${after}: it would never be seen on the bus again`,
    {
      place: 'image',
      advice:
        'Choose "CAN bus" as communication interface in make menuconfig (not USB, not the bridge), and build again.',
    },
  );
}

function judgePlace({ mcu, linkAddress }: NodeImage, node: CanNode): void {
  if (mcu !== node.mcu) {
    throw new OctopusError(
      'wrong-mcu',
      `the image is built for ${mcu ?? 'an unnamed chip'}, but ${node.name} has an ${node.mcu}`,
      {
        place: 'image',
        advice: `Choose ${node.mcu} in make menuconfig and build again, or name the right node.`,
      },
    );
  }
  if (linkAddress === node.launchAddress) return;
  const linked = linkAddress === null ? 'an unknown address' : hex(linkAddress);
  throw new OctopusError(
    'wrong-address',
    `the image is linked at ${linked}, but the Katapult of ${node.name} launches ${hex(node.launchAddress)}`,
    {
      place: hex(node.launchAddress),
      advice: `Set the bootloader offset in make menuconfig so that the application starts at ${hex(node.launchAddress)}, and build again.`,
    },
  );
}

function judgeBitrate({ canFrequency }: NodeImage, node: CanNode): void {
  if (canFrequency === null || node.bitrate === null || canFrequency === node.bitrate) return;
  throw new OctopusError(
    'can-bitrate',
    `the image talks CAN with ${canFrequency} bit/s, the bus of ${node.name} has ${node.bitrate}: the node would never be seen on it again, and could disturb the others`,
    {
      place: 'CANBUS_FREQUENCY',
      advice: `Set the CAN bus speed to ${node.bitrate} in make menuconfig and build again.`,
    },
  );
}
