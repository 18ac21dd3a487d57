// One flash through our own driver, in a process of its own: katapult-client.ts TTY BOARD IMAGE.
import { readFileSync } from 'node:fs';
import { boardByName } from '../../src/boards/boards.ts';
import { planWrite, sectorsOf } from '../../src/firmware/plan.ts';
import { openKatapultBootloader } from '../../src/flash/katapult-bootloader.ts';
import { systemClock } from '../../src/hardware/clock.ts';
import { hardwareSerial } from '../../src/hardware/serial.ts';

const [path = '', boardName = '', image = ''] = process.argv.slice(2);
const { mcu, applicationAddress: address } = boardByName(boardName);
const bytes = Uint8Array.from(readFileSync(image));
const kit = { clock: systemClock, recorder: { before: async () => {} } };
const channel = await hardwareSerial().open(path);
const chip = await openKatapultBootloader(kit, channel, { mcu, place: path, uid: null, over: 'usb' });
const sectors = sectorsOf(mcu.sectors, address, bytes.length);
const everything = { address, bytes };
const plan = planWrite(everything, sectors, new Uint8Array(0), 64, mcu.programWordBytes, () => true);
await chip.write(plan, { erasing: () => {}, writing: () => {} });
const seen = await chip.read(address, bytes.length);
if (Buffer.compare(seen, bytes) !== 0) throw new Error('the read-back differs');
await chip.boot(address);
await chip.close();
