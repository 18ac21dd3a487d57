// Hardware, serial: what can be wrong with a port. Absent, not allowed and held are different sentences.
import { OctopusError } from '../errors.ts';
import { errnoOf, textOf } from './system-error.ts';
import { sayHolders, whoHolds } from './who-holds.ts';

export function cannotOpen(path: string, error: unknown): OctopusError {
  const details = { place: path, cause: error };
  switch (errnoOf(error) ?? '') {
    case 'ENOENT':
    case 'ENOTDIR':
      return new OctopusError('no-hardware', `${path} does not exist`, {
        ...details,
        advice:
          'Check the cable, and that the board runs a firmware that speaks USB; ls /dev/serial/by-id shows what is there.',
      });
    case 'EACCES':
    case 'EPERM':
      return new OctopusError('no-hardware', `${path}: permission denied`, {
        ...details,
        advice:
          'Put the user that runs octopus-flasher into the group dialout (sudo usermod -aG dialout USER) and log in again.',
      });
    case 'ENOTTY':
    case 'EISDIR':
    case 'EINVAL':
      return new OctopusError('no-hardware', `${path} is no serial port`, {
        ...details,
        advice: 'Name it as in printer.cfg: /dev/serial/by-id/...',
      });
    case 'ENODEV':
    case 'ENXIO':
    case 'EIO':
      return left(path);
    default:
      return new OctopusError('no-hardware', `${path} cannot be opened: ${textOf(error)}`, {
        ...details,
        advice: 'Look at what the kernel says: sudo dmesg.',
      });
  }
}

export async function held(path: string, node: string, proc: string): Promise<OctopusError> {
  const holders = await whoHolds(node, proc);
  const holder = sayHolders(holders);
  return new OctopusError('busy', `${path} is held by ${holder}`, {
    place: path,
    advice: `Stop ${holders.length === 0 ? 'it' : holder} first.`,
  });
}

export function left(path: string): OctopusError {
  return new OctopusError('device-gone', `the device behind ${path} is gone`, {
    place: path,
    advice: 'Check the cable and the power of the board.',
  });
}

export function notTaken(path: string, timeoutMs: number): OctopusError {
  return new OctopusError('usb-timeout', `${path} took no bytes for ${timeoutMs} ms`, {
    place: path,
    advice: 'The firmware does not read: reset the board.',
  });
}

export function noLibc(path: string, why: string): OctopusError {
  return new OctopusError('no-hardware', `${path} cannot be opened: ${why}`, {
    place: path,
    advice: 'Install the packages again: npm ci in the folder of octopus-flasher.',
  });
}
