// Hardware, who holds a device node: by the open files of all processes that this user may look into.
import { readFile, readdir, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';

export interface Holder {
  readonly pid: number;
  /** `python klippy.py`: the program, and the script of an interpreter. */
  readonly name: string;
}

/** @param proc where proc is mounted */
export async function whoHolds(path: string, proc = '/proc'): Promise<readonly Holder[]> {
  const node = await realpath(path).catch(() => path);
  const entries = await readdir(proc).catch((): string[] => []);
  const holders: Holder[] = [];
  for (const pid of entries.filter((entry) => /^\d+$/.test(entry))) {
    if (await hasOpen(join(proc, pid, 'fd'), node))
      holders.push({ pid: Number(pid), name: await nameOf(join(proc, pid)) });
  }
  return holders;
}

/** `process 812 (python klippy.py)`, for a sentence; who cannot be seen is told as such. */
export function sayHolders(holders: readonly Holder[]): string {
  if (holders.length === 0) return 'another program that this user cannot see';
  // What this process has just tried to open may not be closed yet; it is the holder only if nobody else is.
  const others = holders.filter(({ pid }) => pid !== process.pid);
  return (others.length === 0 ? holders : others)
    .map(({ pid, name }) => `process ${pid} (${name})`)
    .join(' and ');
}

async function hasOpen(folder: string, node: string): Promise<boolean> {
  // Of other users, or ended meanwhile: nothing is seen.
  const files = await readdir(folder).catch((): string[] => []);
  const targets = await Promise.all(files.map((file) => readlink(join(folder, file)).catch(() => '')));
  return targets.includes(node);
}

async function nameOf(folder: string): Promise<string> {
  const told = (await readFile(join(folder, 'comm'), 'utf8').catch(() => '')).trim();
  const words = (await readFile(join(folder, 'cmdline'), 'utf8').catch(() => '')).split('\0');
  // Node 24 names its first thread, and so its process, in this way.
  const comm = told === 'MainThread' ? basename(words[0] ?? '') : told;
  const script = words.slice(1).find((word) => word !== '' && !word.startsWith('-'));
  const isInterpreter = /^(python|node|perl|ruby|sh|bash)[\d.]*$/.test(comm);
  const name = isInterpreter && script !== undefined ? `${comm} ${basename(script)}` : comm;
  // A program names itself: nothing but what can be printed goes into a message for a console.
  return name.replaceAll(/[^ -~]/g, '?').slice(0, 64) || 'unknown';
}
