// Configuration: values that name a place: Moonraker's address, a port to listen on, a path, a device, an image.
import { quoted, suggestion } from './complaint.ts';
import type { SectionReader } from './section-reader.ts';

/** How Moonraker is reached; its Unix socket needs no login. `none`: the board belongs to no printer. */
export type MoonrakerAddress =
  | { readonly kind: 'none' }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'websocket'; readonly url: string };

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const IMAGE_KINDS = ['build', 'backup', 'upload'] as const;
const SCHEMES = ['http:', 'https:', 'ws:', 'wss:'] as const;
const MOONRAKER_FORMS =
  'Write the path of moonraker.sock, or http://HOST:7125 (https, ws and wss work as well), or none for a board without a printer.';

/** `~/x` in the home folder; only absolute paths without `..` otherwise. */
export function readPath(reader: SectionReader, key: string, home: string): string | undefined {
  const written = reader.text(key);
  return written === undefined ? undefined : pathOf(reader, key, written, home);
}

/** Throws `bad-config` unless `written` is an absolute path or one that starts with `~/`. */
export function pathOf(reader: SectionReader, key: string, written: string, home: string): string {
  const path = written.startsWith('~/') ? `${home.replace(/\/$/, '')}${written.slice(1)}` : written;
  const isPlain = path.startsWith('/') && !path.split('/').includes('..');
  if (isPlain) return path.replaceAll(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
  throw reader.refuse(
    key,
    `${key} cannot be ${quoted(written)}`,
    'Write a whole path, from / or from ~/, without "..".',
  );
}

/** Moonraker's Unix socket or its URL, as the address of its WebSocket. */
export function readMoonraker(
  reader: SectionReader,
  key: string,
  home: string,
): MoonrakerAddress | undefined {
  const written = reader.text(key);
  if (written === undefined) return undefined;
  if (written === 'none') return { kind: 'none' };
  if (/^[/~]/.test(written)) return { kind: 'unix', path: pathOf(reader, key, written, home) };
  const url = URL.parse(written);
  if (url === null || !isOneOf(SCHEMES, url.protocol) || !written.includes('://')) {
    throw reader.refuse(key, `${key} cannot be ${quoted(withoutSecrets(written))}`, MOONRAKER_FORMS);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    const advice = `${MOONRAKER_FORMS} A key stands in api_key.`;
    throw reader.refuse(key, `${key} holds a login or a question mark`, advice);
  }
  const scheme = url.protocol === 'http:' || url.protocol === 'ws:' ? 'ws' : 'wss';
  const path = url.pathname.replace(/\/(websocket)?$/, '');
  return { kind: 'websocket', url: `${scheme}://${url.host}${path}/websocket` };
}

/** `7130`, `127.0.0.1:7130` or `[::1]:7130`; a port alone is for this host only. */
export function readListen(reader: SectionReader, key: string): ListenAddress | undefined {
  const written = reader.text(key);
  if (written === undefined) return undefined;
  const [, inBrackets, plain, digits = ''] =
    /^(?:(?:\[([0-9a-f:.]{2,45})\]|([\w.-]{1,253})):)?(\d{1,5})$/i.exec(written) ?? [];
  const port = Number(digits);
  if (digits !== '' && port >= 1024 && port <= 65_535) {
    return { host: inBrackets ?? plain ?? '127.0.0.1', port };
  }
  throw reader.refuse(
    key,
    `${key} cannot be ${quoted(written)}`,
    'Write a port from 1024 to 65535, or ADDRESS:PORT.',
  );
}

/** `build:PROFILE`, `backup:ID`, `upload:NAME`, or a path; whether the path is allowed is asked when it is flashed. */
export function readImage(reader: SectionReader, key: string, home: string): string | undefined {
  const written = reader.text(key);
  if (written === undefined) return undefined;
  const [, kind, name = ''] = /^([a-z_-]+):(.*)$/i.exec(written) ?? [];
  if (kind === undefined) return pathOf(reader, key, written, home);
  if (!isOneOf(IMAGE_KINDS, kind)) {
    throw reader.refuse(key, `${key} cannot be ${quoted(written)}`, suggestion(kind, IMAGE_KINDS, 'kinds'));
  }
  if (/^[A-Za-z0-9_][\w.+ -]{0,127}$/.test(name)) return written;
  throw reader.refuse(
    key,
    `${key} cannot be ${quoted(written)}`,
    `Behind ${kind}: stands a name of letters, digits, "_", ".", "+" and "-".`,
  );
}

/** A serial device of Linux. Nothing else under /dev may be named: the file is writable through Moonraker. */
export function readSerial(reader: SectionReader, key: string): string | undefined {
  return readMatching(
    reader,
    key,
    /^\/dev\/(serial\/by-(id|path)\/[\w.:,@+-]{1,200}|tty[A-Za-z]{1,8}\d{1,3})$/,
    'Write it as in printer.cfg: /dev/serial/by-id/... (ls /dev/serial/by-id shows it).',
  );
}

/** A USB port as Linux names it: bus, then the ports on the way. */
export function readBusPath(reader: SectionReader, key: string): string | undefined {
  return readMatching(
    reader,
    key,
    /^[1-9]\d{0,2}-[1-9]\d{0,2}(\.[1-9]\d{0,2}){0,5}$/,
    'Write bus and ports as in /sys/bus/usb/devices, such as 1-1.4.',
  );
}

/** As printer.cfg and `octopus canbus-query` write it. */
export function readCanbusUuid(reader: SectionReader, key: string): string | undefined {
  const cure = 'Write its 12 hex digits: octopus canbus-query shows them.';
  return readMatching(reader, key, /^[0-9a-f]{12}$/i, cure)?.toLowerCase();
}

/** Linux's name of a network interface: at most 15 letters (IFNAMSIZ). */
export function readCanbusInterface(reader: SectionReader, key: string): string | undefined {
  return readMatching(reader, key, /^[A-Za-z][\w.-]{0,14}$/, 'Write it as `ip link` lists it: can0.');
}

function readMatching(reader: SectionReader, key: string, form: RegExp, cure: string): string | undefined {
  const written = reader.text(key);
  if (written === undefined || form.test(written)) return written;
  throw reader.refuse(key, `${key} cannot be ${quoted(written)}`, cure);
}

/** A secret is never repeated in a message. */
export function readApiKey(reader: SectionReader, key: string): string | undefined {
  const written = reader.text(key);
  if (written === undefined || /^[\x21-\x7e]{8,256}$/.test(written)) return written;
  throw reader.refuse(
    key,
    `${key} is no key`,
    'Copy the key that Mainsail shows, or delete the line: Unix sockets need none.',
  );
}

/** `http://user:secret@host` without what stands before the `@`. */
function withoutSecrets(written: string): string {
  return written.includes('@') ? `...${written.slice(written.lastIndexOf('@'))}` : written;
}

function isOneOf<T extends string>(words: readonly T[], word: string): word is T {
  return words.some((one) => one === word);
}
