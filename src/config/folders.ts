// Configuration: which files the owner lets the printer's clients flash. Pure: the caller resolves the paths.
import { complaint, quoted } from './complaint.ts';
import { OctopusError } from '../errors.ts';

/** A folder of host.conf and where it really is, symbolic links followed. */
export interface ResolvedFolder {
  readonly asWritten: string;
  readonly real: string;
}

/** Whether the real path `path` is `folder` or lies below it; anything but a resolved absolute path is not. */
export function isInside(path: string, folder: string): boolean {
  if (!isResolved(path) || !isResolved(folder)) return false;
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}

/** No relative path, no `.`, no `..`, no `//`, no slash at the end, no NUL: as realpath answers. */
function isResolved(path: string): boolean {
  if (path === '/') return true;
  if (!path.startsWith('/') || path.includes('\0')) return false;
  return path
    .slice(1)
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..');
}

/**
 * Throws `bad-parameter` unless `real` lies below one of `folders`. `real` must be what the *opened* file is
 * (/proc/self/fd/N), not what its name was a moment before: a link may change between the two.
 */
export function requireAllowed(asked: string, real: string, folders: readonly ResolvedFolder[]): void {
  if (folders.some((folder) => isInside(real, folder.real) && real !== folder.real)) return;
  const names = folders.map(({ asWritten }) => quoted(asWritten).slice(1, -1));
  throw new OctopusError('bad-parameter', `the image ${quoted(asked)} is in no allowed folder`, {
    place: 'image',
    advice:
      names.length === 0
        ? 'No folder is allowed: add one to firmware_folders in host.conf on the host, or name a build or a backup.'
        : `Allowed: ${names.join(', ')} (firmware_folders in host.conf; links are followed first).`,
  });
}

/**
 * Throws `bad-config` when a folder of host.conf overlaps one that Moonraker's clients may write: they could put
 * their own firmware (or, in a source tree, their own Makefile) there.
 */
export function requireOutsideRoots(
  { asWritten, real }: ResolvedFolder,
  roots: readonly string[],
  place: { readonly file: string; readonly line: number | undefined; readonly key: string },
): void {
  const root = roots.find((one) => isInside(real, one) || isInside(one, real));
  if (root === undefined) return;
  throw complaint(
    place.file,
    place.line,
    `${place.key}: ${quoted(asWritten)} shares files with Moonraker's folder ${quoted(root)}`,
    'Name a folder that the file manager of Mainsail and Fluidd cannot reach.',
  );
}
