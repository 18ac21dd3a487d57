// The emulated machine: its command line, and the process that ends with whoever started it.
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const repo = resolve(import.meta.dirname, '../..');

/** Where the kernel and what belongs to it lie; made at the first call, told to the processes that this one starts. */
export function prepare(): string {
  const known = process.env['GUEST_KERNEL'];
  if (known !== undefined) return known;
  const output = execFileSync(join(import.meta.dirname, 'prepare'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (process.env['GUEST_KERNEL'] = output.trim());
}

/** Two CAN controllers (sja1000 behind kvaser_pci) that share a bus: can0 and can1, with bitrates, acknowledge, bus-off. */
export const canPair = (): string[] => [
  ...['-object', 'can-bus,id=canbus0'],
  ...['-device', 'kvaser_pci,canbus=canbus0', '-device', 'kvaser_pci,canbus=canbus0'],
];

/** A USB 3 controller with one device per socket, whose other end speaks usbredir; it may be served later, or again. */
export const usbRedir = (...sockets: readonly string[]): string[] => [
  ...['-device', 'qemu-xhci,id=xhci'],
  ...sockets.flatMap((path, index) => [
    ...['-chardev', `socket,id=redir${index},path=${comma(path)},reconnect=1`],
    ...['-device', `usb-redir,chardev=redir${index},bus=xhci.0`],
  ]),
];

/** The host's loopback is the guest's 10.0.2.2 (modules `virtio_net`; `Guest.boot` brings the interface up). */
export const NETWORK = ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='];
export const HOST_ADDRESS = '10.0.2.2';

export const comma = (path: string) => path.replaceAll(',', ',,');
/** A folder of the host by 9p. */
export const shared = (tag: string, path: string, rest = '') => [
  ...['-fsdev', `local,id=${tag},path=${comma(path)},security_model=none,multidevs=remap${rest}`],
  ...['-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
];
const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export interface Machine {
  readonly kernel: string;
  readonly share: string;
  readonly console: string;
  readonly devices: readonly string[];
}

/** What the guest's first program must know, for a shell. */
export const whereabouts = (kernel: string): string =>
  `repo=${quote(repo)}\nmodules=${quote(join(kernel, 'lib/modules'))}\n`;

export type Qemu = ChildProcessByStdio<Writable, Readable, Readable>;

/** Standard input and output are the agent's port. */
export function launch({ kernel, share, console, devices }: Machine): Qemu {
  return start({
    kernel: join(kernel, 'vmlinux'),
    initrd: join(kernel, 'initrd.gz'),
    console,
    devices: [
      ...shared('root', '/', ',readonly=on'),
      ...shared('share', share),
      ...shared('compiled', join(kernel, 'compiled')),
      ...devices,
    ],
  });
}

export interface Boot {
  readonly kernel: string;
  readonly initrd: string;
  /** A file: what the kernel says. */
  readonly console: string;
  readonly devices: readonly string[];
  /** More for the kernel's command line. */
  readonly options?: string;
  /** QEMU's name of a processor. */
  readonly cpu?: string;
}

/** Any machine with a port `agent` on standard input and output. */
export function start({ kernel, initrd, console, devices, options = '', cpu = 'max' }: Boot): Qemu {
  // No KVM: where it is emulated itself it opens and then stands still. One processor: two are no faster.
  const machine = ['-accel', 'tcg', '-machine', 'pc,usb=off,vmport=off,hpet=off', '-cpu', cpu];
  const bare = ['-smp', '1', '-m', '1G', '-nodefaults', '-display', 'none', '-no-reboot'];
  const append = `console=ttyS0 panic=-1 nokaslr mitigations=off audit=0 apparmor=0 random.trust_cpu=on tsc=reliable no_timer_check quiet ${options}`;
  const boot = ['-kernel', kernel, '-initrd', initrd, '-append', append];
  const agent = [
    ...['-device', 'virtio-serial-pci', '-chardev', 'stdio,id=agent,signal=off'],
    ...['-device', 'virtserialport,chardev=agent,name=agent'],
    ...['-chardev', `file,id=console,path=${comma(console)}`, '-serial', 'chardev:console'],
  ];
  // A test runner that is killed takes its guests with it.
  return spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...[machine, bare, boot, agent, devices].flat()],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
}
