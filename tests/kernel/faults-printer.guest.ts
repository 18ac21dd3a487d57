// Runs in the guest as a user who may do nothing that root may. MAY=no: in no group, or without our udev rule;
// MAY=yes: a member of plugdev and dialout, where the rule is installed.
import { expect, test } from '@jest/globals';
import { hardwareGpio } from '../../src/hardware/gpio.ts';
import { loadLibc } from '../../src/hardware/libc.ts';
import { hardwareSerial } from '../../src/hardware/serial.ts';
import { hearKernel } from '../../src/hardware/usb-uevents.ts';
import { HardwareUsb } from '../../src/hardware/usb.ts';
import { DFU_REQUEST, dfuSetup } from '../../src/protocol/dfu.ts';
import { ours } from './faults-ours.ts';

const tty = '/dev/ttyACM0';
const chip = 'viperboard gpio a';
const PINS = { boot0: `${chip}/gpio0`, nrst: `${chip}/gpio1` };
const bus = new HardwareUsb();

/** To list is everybody's right. */
async function theRom() {
  const rom = (await bus.list()).find(({ productId }) => productId === 0xdf11);
  if (rom === undefined) throw new Error('no ROM on the bus');
  const digits = (number: number) => String(number).padStart(3, '0');
  return {
    rom,
    node: `/dev/bus/usb/${digits(Number.parseInt(rom.busPath, 10))}/${digits(rom.deviceNumber)}`,
  };
}

const refused = () => {
  test('USB (EACCES): the node, and the rule that lets one in', async () => {
    const { rom, node } = await theRom();
    expect(await ours(bus.openDfu(rom))).toEqual({
      code: 'no-hardware',
      message: `the USB device at ${rom.busPath} cannot be opened: ${node}: permission denied`,
      advice:
        'Install the udev rule: sudo cp systemd/70-octopus-flasher.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger; it lets in members of plugdev: sudo usermod -aG plugdev USER.',
      place: node,
    });
  });

  test('USB events of the kernel are told to everybody', async () => {
    const libc = await loadLibc();
    if (typeof libc === 'string') throw new Error(libc);
    hearKernel(libc, () => {})();
  });

  test('serial (EACCES): the group', async () => {
    expect(await ours(hardwareSerial().open(tty))).toMatchObject({
      code: 'no-hardware',
      message: `${tty}: permission denied`,
      advice: expect.stringContaining('sudo usermod -aG dialout USER'),
    });
  });

  test('GPIO (EACCES), character device and sysfs: the group', async () => {
    for (const [force, message] of [
      ['chardev', /^\/dev\/gpiochip\d+: permission denied$/],
      ['sysfs', /^\/sys\/class\/gpio\/gpio\d+: permission denied$/],
    ] as const)
      expect(await ours(hardwareGpio({ force }).open(PINS))).toMatchObject({
        code: 'no-hardware',
        message: expect.stringMatching(message),
        advice: expect.stringContaining('sudo usermod -aG gpio USER'),
      });
  });
};

const allowed = () => {
  test('USB: opened, and it answers', async () => {
    const device = await bus.openDfu((await theRom()).rom);
    expect((await device.controlIn(dfuSetup(DFU_REQUEST.getStatus, 0), 6, 5000)).length).toBe(6);
    await device.close();
  });

  test('serial: opened, and by nobody else as long as it is (TIOCEXCL, EBUSY)', async () => {
    const port = await hardwareSerial().open(tty);
    expect(await ours(hardwareSerial().open(tty))).toMatchObject({
      code: 'busy',
      message: expect.stringMatching(new RegExp(`^${tty} is held by process ${process.pid} \\(`)),
    });
    await port.close();
  });
};

(process.env['MAY'] === 'yes' ? allowed : refused)();
