// The kernel's own words for who comes and goes. Messages as a kernel 6.1 sends them (lib/kobject_uevent.c).
import { afterEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { closeSync, fstatSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Libc } from '../../src/hardware/libc.ts';
import { hearKernel, tellsOfDevice } from '../../src/hardware/usb-uevents.ts';
import { cutTrees, fakeTree } from './fake-tree.ts';

afterEach(cutTrees);

const bytes = (...words: string[]) => new TextEncoder().encode(words.map((word) => `${word}\0`).join(''));
const PATH = '/devices/pci0000:00/0000:00:06.0/usb1/1-1';
const device = (action: string) =>
  bytes(
    `${action}@${PATH}`,
    `ACTION=${action}`,
    `DEVPATH=${PATH}`,
    'SUBSYSTEM=usb',
    'MAJOR=189',
    'MINOR=6',
    'DEVNAME=bus/usb/001/007',
    'DEVTYPE=usb_device',
    'DRIVER=usb',
    'PRODUCT=483/df11/2200',
    'SEQNUM=1234',
  );
const face = bytes(
  `bind@${PATH}/1-1:1.0`,
  'ACTION=bind',
  `DEVPATH=${PATH}/1-1:1.0`,
  'SUBSYSTEM=usb',
  'DEVTYPE=usb_interface',
  'DRIVER=cdc_acm',
  'SEQNUM=1235',
);

test.each([
  ['a device that is configured', device('bind'), true],
  ['a device that has left', device('remove'), true],
  ['a device with which nothing can be done yet', device('add'), false],
  ['a device whose driver has let go', device('unbind'), false],
  ['an interface', face, false],
  ['another subsystem', bytes('remove@/devices/virtual/tty/x', 'ACTION=remove', 'SUBSYSTEM=tty'), false],
  ['nothing', new Uint8Array(0), false],
])('%s', (_what, message, isNews) => {
  expect(tellsOfDevice(message)).toBe(isNews);
});

test('whatever comes in, nothing is thrown', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), (message) => void tellsOfDevice(message)));
});

/** A libc whose socket is a file with these messages: what is asked of it, and how to say that it can be read. */
function fakeSocket(content: Uint8Array) {
  const path = join(fakeTree({}), 'socket');
  writeFileSync(path, content);
  const asked: string[] = [];
  let ready = (): void => {};
  let fd = -1;
  const never = (): never => {
    throw new Error('not this call');
  };
  const libc: Libc = {
    pointerBytes: 8,
    allocate: never,
    ioctl: never,
    tryIoctl: never,
    waitIoctl: never,
    forgetPages: never,
    flock: never,
    setsockopt: never,
    sendto: never,
    socket: (...numbers) => {
      asked.push(`socket ${numbers.join(' ')}`);
      return (fd = openSync(path, 'r'));
    },
    bind: (_fd, address) => void asked.push(`bind ${Buffer.from(address).toString('hex')}`),
    watch: (_fd, interest, onReady) => {
      asked.push(`watch ${JSON.stringify(interest)}`);
      ready = onReady;
      return { wants: never, stop: () => void asked.push('stop') };
    },
  };
  return { libc, asked, ready: () => ready(), fd: () => fd };
}

test('the group of the kernel is joined, its messages are read, and all is given back', () => {
  const { libc, asked, ready, fd } = fakeSocket(device('remove'));
  let heard = 0;
  const deafen = hearKernel(libc, () => (heard += 1));
  // NETLINK_KOBJECT_UEVENT of linux/netlink.h, SOCK_RAW with O_NONBLOCK and O_CLOEXEC; struct sockaddr_nl.
  expect(asked).toEqual(['socket 16 526339 15', 'bind 100000000000000001000000', 'watch {"readable":true}']);
  ready();
  expect(heard).toBe(1);
  // There is nothing more.
  ready();
  expect(heard).toBe(1);
  deafen();
  expect(asked.at(-1)).toBe('stop');
  expect(() => fstatSync(fd())).toThrow('EBADF');
});

test('a message that is none of ours is no news', () => {
  const { libc, ready } = fakeSocket(face);
  let heard = 0;
  const deafen = hearKernel(libc, () => (heard += 1));
  ready();
  expect(heard).toBe(0);
  deafen();
});

test('events that were lost may have been any', () => {
  const { libc, ready, fd } = fakeSocket(new Uint8Array(0));
  let heard = 0;
  hearKernel(libc, () => (heard += 1));
  // Whatever reading says but EAGAIN: here that the descriptor is none.
  closeSync(fd());
  expect(() => readSync(fd(), new Uint8Array(1))).toThrow('EBADF');
  ready();
  expect(heard).toBe(1);
});

test('who may not hear them gets the reason, and no descriptor stays open', () => {
  const { libc, fd } = fakeSocket(new Uint8Array(0));
  const refused: Libc = {
    ...libc,
    bind: () => {
      throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
    },
  };
  expect(() => hearKernel(refused, () => {})).toThrow('EPERM');
  expect(() => fstatSync(fd())).toThrow('EBADF');
});
