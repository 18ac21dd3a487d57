// What lies in /etc and in the home folder, as two comparable lists: to the last write, or by content.
import type { Vm } from './vm.ts';

/** Of Moonraker, Klipper and the daemon while they run, of users' shells, and of git's own book-keeping. */
const THEIRS = [
  '/home/pi/printer_data/database',
  '/home/pi/printer_data/logs',
  '/home/pi/printer_data/comms',
  '/home/pi/printer_data/.moonraker.uuid',
  '/home/pi/printer_data/config/.moonraker.conf.bkp',
  '/home/pi/stand-in',
  '/home/pi/moonraker-env',
  '/home/pi/octopus-flasher/.git',
  '/home/pi/.npm',
  // sudo's own mark of its first use.
  '/home/pi/.sudo_as_admin_successful',
  // shadow's copies of what was before its last change.
  ...['passwd-', 'group-', 'shadow-', 'gshadow-', '.pwd.lock'].map((name) => `/etc/${name}`),
];
/** The daemon's own: what it remembers of jobs. */
const DAEMONS = [
  '/home/pi/printer_data/octopus-flasher/audit.log',
  '/home/pi/printer_data/octopus-flasher/journal',
];

const pruned = (paths: readonly string[]) => paths.map((path) => `-path ${path} -prune -o`).join(' ');

/** Each with mode, owner and the time of its last change of any kind: who writes the same again is found, too. */
export async function touched(vm: Vm): Promise<readonly string[]> {
  const listing = `find /etc /home/pi ${pruned([...THEIRS, ...DAEMONS])} -printf '%p %y %m %u:%g %C@ %l\\n' | sort`;
  // A folder that something came and went in is a change of the running daemon's.
  const lines = (await vm.said(listing, { user: 'root' })).split('\n');
  return lines.filter((line) => !/^\/home\/pi\/printer_data(\/octopus-flasher|\/config)? d /.test(line));
}

/** Each with mode, owner and content, without times. @param without more paths to leave out. */
export async function contents(vm: Vm, without: readonly string[] = []): Promise<readonly string[]> {
  const not = pruned([...THEIRS, ...without]);
  const script = `find /etc /home/pi ${not} -printf '%p %y %m %u:%g %l\\n' | sort
    find /etc /home/pi ${not} -type f -print0 | sort -z | xargs -0 sha256sum`;
  return (await vm.said(script, { user: 'root' })).split('\n');
}

/** Lines of one that the other lacks, for a readable failure. */
export function difference(before: readonly string[], after: readonly string[]): readonly string[] {
  const [old, now] = [new Set(before), new Set(after)];
  return [
    ...before.filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
}
