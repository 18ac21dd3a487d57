// Hardware, CAN: what sysfs says of a network interface, and the sentences that both adapters share.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { CanFrame } from '../ports/can.ts';
import { ARPHRD_CAN, IFF_UP, MAX_DATA_BYTES, MAX_ID } from './can-uapi.ts';

export const SYSFS_NET = '/sys/class/net';

/** Throws `no-hardware`: absent, no CAN interface, or down. Answers the kernel's index of it. */
export async function requireUp(name: string, net = SYSFS_NET): Promise<number> {
  const state = await stateOf(name, net);
  if (state === 'absent') throw isAbsent(name, net, await canInterfaces(net));
  if (state === 'down') throw isDown(name);
  if (state === 'other') {
    throw new OctopusError('no-hardware', `${name} is a network interface, but none for CAN`, {
      place: name,
      advice: `CAN interfaces here: ${listed(await canInterfaces(net))}.`,
    });
  }
  return state.index;
}

export async function stateOf(
  name: string,
  net = SYSFS_NET,
): Promise<'absent' | 'other' | 'down' | { readonly index: number }> {
  // Linux takes no such names, and sysfs would be left by them.
  if (!/^[^/\s]{1,15}$/.test(name) || /^\.{1,2}$/.test(name)) return 'absent';
  const text = async (file: string) => (await readFile(join(net, name, file), 'utf8').catch(() => '')).trim();
  const [type, flags, index] = [await text('type'), await text('flags'), await text('ifindex')];
  if (type === '' || index === '') return 'absent';
  if (Number(type) !== ARPHRD_CAN) return 'other';
  return (Number(flags) & IFF_UP) === 0 ? 'down' : { index: Number(index) };
}

export function checkFrame({ id, data }: CanFrame): void {
  if (Number.isInteger(id) && id >= 0 && id <= MAX_ID && data.length <= MAX_DATA_BYTES) return;
  throw new OctopusError('internal', `no CAN frame: id ${id} with ${data.length} bytes`, {
    advice: 'This is a fault of octopus-flasher: please report it.',
  });
}

/** A bus that was open and is no more. */
export function isLost(name: string, why: 'gone' | 'down'): OctopusError {
  return new OctopusError('no-device', why === 'gone' ? `${name} is gone` : `${name} went down`, {
    place: name,
    advice:
      why === 'gone'
        ? 'Check the cable; the interface of a USB-CAN bridge is there only while its board runs.'
        : bringUp(name),
  });
}

async function canInterfaces(net: string): Promise<readonly string[]> {
  const names = await readdir(net).catch((): string[] => []);
  const states = await Promise.all(names.map(async (name) => ({ name, state: await stateOf(name, net) })));
  return states.flatMap(({ name, state }) => (state === 'absent' || state === 'other' ? [] : [name]));
}

function isAbsent(name: string, net: string, there: readonly string[]): OctopusError {
  return new OctopusError('no-hardware', `${name} is absent: looked in ${net}`, {
    place: name,
    advice: `CAN interfaces here: ${listed(there)}. Check the cable, and the power of the bridge: its interface is there only while it runs.`,
  });
}

function isDown(name: string): OctopusError {
  return new OctopusError('no-hardware', `${name} is down`, { place: name, advice: bringUp(name) });
}

function bringUp(name: string): string {
  return `Set it up: sudo ip link set ${name} up type can bitrate 1000000 (or the bitrate of your bus).`;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
