// Virtual board for other programs, without a USB bus: the bytes of its CDC-ACM function on a pseudo-terminal.
// Node cannot make one; util-linux's `script`, which is on every Debian, does, and carries all 8 bits both ways.

import { spawn, type ChildProcess } from 'node:child_process';
import { lstatSync, rmSync, symlinkSync } from 'node:fs';
import type { ServedDevice, ServedPort } from './port.ts';

/** The terminal's other end stays open in `sleep`, so that a program may open and close it at will. */
const HOLD = 'stty raw -echo; tty >&3; exec sleep infinity';
const NOTHING = new Uint8Array(0);
const CLASS_CDC_DATA = 10;

/** While a device with a serial function is in `port`, `link` points to its terminal. */
export function servePty(port: ServedPort, link: string, tell: (line: string) => void): () => void {
  let end: (() => void) | undefined;
  let shown: ServedDevice | undefined;
  const look = (): void => {
    if (end !== undefined && port.device === shown) return;
    end?.();
    end = undefined;
    const { device } = port;
    const release = isSerial(device) ? port.take() : undefined;
    if (device === undefined || release === undefined) return;
    shown = device;
    const stop = openTerminal(device, link, tell);
    end = () => {
      stop();
      release();
    };
  };
  const forget = port.onChange(look);
  look();
  return () => {
    forget();
    end?.();
  };
}

function isSerial(device: ServedDevice | undefined): boolean {
  return device?.interfaces.some(({ kind }) => kind[0] === CLASS_CDC_DATA) ?? false;
}

function openTerminal(device: ServedDevice, link: string, tell: (line: string) => void): () => void {
  const endpoints = device.interfaces.find(({ kind }) => kind[0] === CLASS_CDC_DATA)?.endpoints ?? [];
  const out = endpoints.find(({ address }) => address < 0x80)?.address ?? 0;
  const into = endpoints.find(({ address }) => address >= 0x80)?.address ?? 0;
  const child: ChildProcess = spawn('script', ['-q', '-f', '-c', HOLD, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
  });
  const { stdin, stdout } = child;
  let isOver = false;
  let cancel: (() => void) | undefined;
  const fetch = (): void => {
    if (isOver) return;
    cancel = device.urbs.submit({ address: into, data: NOTHING, length: 64 }, ({ status, bytes }) => {
      if (status !== 'ok') return;
      stdin?.write(bytes);
      setImmediate(fetch);
    });
  };
  let name = '';
  child.stdio[3]?.on('data', (text: Buffer) => {
    name += text.toString('latin1');
    if (!name.endsWith('\n') || isOver) return;
    relink(link, name.trim());
    tell(`${link} is ${name.trim()}`);
    fetch();
  });
  stdout?.on('data', (bytes: Buffer) => {
    device.urbs.submit({ address: out, data: Uint8Array.from(bytes), length: 0 }, () => {});
  });
  stdin?.on('error', () => {});
  child.on('error', (error) => tell(`no pseudo-terminal: ${error.message} (util-linux has "script")`));
  return () => {
    isOver = true;
    cancel?.();
    rmSync(link, { force: true });
    child.kill();
  };
}

/** Only a link is ever replaced. */
function relink(link: string, target: string): void {
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true) rmSync(link);
  symlinkSync(target, link);
}
