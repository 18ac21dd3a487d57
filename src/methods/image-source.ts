// Methods: which image a request names, and whether it may name that one: backup:ID, upload:NAME, build:PROFILE, a path.
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isInside, requireAllowed, type ResolvedFolder } from '../config/folders.ts';
import { OctopusError } from '../errors.ts';
import type { ImageFile } from '../flash/preflight.ts';
import { readImageFile } from './image-file.ts';

export type NamedImage =
  | { readonly kind: 'file'; readonly file: ImageFile }
  | { readonly kind: 'backup'; readonly id: string };

export interface ImageSource {
  /** Throws `bad-parameter`, `file-unreadable`, `image-too-large`, and `bad-config` for a host.conf that is wrong. */
  read(name: string): Promise<NamedImage>;
}

/** What host.conf opens at this moment. */
export interface ImageRights {
  readonly folders: readonly ResolvedFolder[];
  /** Where Moonraker puts uploads; undefined while `allow_uploads` is off. */
  readonly uploads: ResolvedFolder | undefined;
}

/**
 * For the host's own user: any file that he may read.
 * @param home stands for `~`
 */
export function ownImages(home: string): ImageSource {
  return { read: (name) => readOwn(name, home) };
}

async function readOwn(name: string, home: string): Promise<NamedImage> {
  const { kind, rest } = parse(name, home);
  if (kind === 'backup') return { kind, id: rest };
  if (kind === 'upload') {
    throw notTaken(name, 'An upload is a file in the config folder: give its path.');
  }
  if (kind === 'build') throw noBuilds(name);
  return { kind: 'file', file: await readImageFile(resolve(rest)) };
}

/**
 * For requests that come through Moonraker. Whether a file may be read is judged before it is opened (a device can act
 * on being opened) and again by what the opened file really is (a link may have changed between the two).
 * @param rights asked anew at every request, so that a change of host.conf counts at once
 */
export function remoteImages(rights: () => Promise<ImageRights>, home: string): ImageSource {
  return {
    read: async (name) => {
      const { kind, rest } = parse(name, home);
      if (kind === 'backup') return { kind, id: rest };
      if (kind === 'build') throw noBuilds(name);
      const { folders, uploads } = await rights();
      if (kind === 'upload') {
        if (uploads === undefined)
          throw notTaken(name, 'Uploads are off: "allow_uploads: yes" in host.conf on the host allows them.');
        return readBelow([uploads], join(uploads.real, rest), name);
      }
      if (!rest.startsWith('/'))
        throw notTaken(name, 'Give the whole path, from / on, or backup:ID, or upload:NAME.');
      return readBelow(folders, rest, name);
    },
  };
}

async function readBelow(
  folders: readonly ResolvedFolder[],
  path: string,
  asked: string,
): Promise<NamedImage> {
  // By its name first: outside the folders nothing is even looked at, so that nobody learns what exists.
  const plain = resolve(path);
  const isNamedInside = folders.some(
    ({ asWritten, real }) => isInside(plain, asWritten) || isInside(plain, real),
  );
  requireAllowed(asked, isNamedInside ? await whereIs(path) : NOWHERE, folders);
  const file = await readImageFile(path, (opened) => requireAllowed(asked, opened, folders));
  return { kind: 'file', file };
}

/** Inside no folder. */
const NOWHERE = '';
/** So many parts of a path may be missing. */
const MISSING_MAX = 16;

/**
 * Where `path` really is; where nothing is, where it would be, so that a link to the outside does not tell what
 * exists there.
 */
async function whereIs(path: string, depth = 0): Promise<string> {
  const real = await realpath(path).catch((): undefined => undefined);
  if (real !== undefined) return real;
  const isLink = await lstat(path).then(
    (stat) => stat.isSymbolicLink(),
    () => false,
  );
  const name = basename(path);
  // A link to what is not there; the kernel does not go back from there either.
  if (isLink || name === '..' || depth === MISSING_MAX) return NOWHERE;
  const parent = await whereIs(dirname(path), depth + 1);
  return parent === NOWHERE ? NOWHERE : join(parent, name);
}

const KINDS = ['backup', 'upload', 'build'] as const;

function parse(name: string, home: string): { kind: (typeof KINDS)[number] | 'path'; rest: string } {
  const [, word, rest = ''] = /^([a-z]+):(.*)$/s.exec(name) ?? [];
  const kind = KINDS.find((one) => one === word);
  if (kind === undefined)
    return { kind: 'path', rest: name.startsWith('~/') ? join(home, name.slice(2)) : name };
  // A plain name: what stands behind the colon never leads anywhere else.
  if (/^[A-Za-z0-9_][\w.+ -]{0,127}$/.test(rest)) return { kind, rest };
  throw notTaken(name, `Behind ${kind}: stands a name of letters, digits, "_", ".", "+" and "-".`);
}

function notTaken(name: string, advice: string): OctopusError {
  return new OctopusError(
    'bad-parameter',
    `the image ${JSON.stringify(name.slice(0, 100))} cannot be taken`,
    {
      place: 'image',
      advice,
    },
  );
}

function noBuilds(name: string): OctopusError {
  return notTaken(name, 'This version builds no firmware itself: give the path of klipper.bin.');
}
