// Both configuration files together: which boards there are, whose they are, and what holds when a file says nothing.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { dataPathOf, hostFileToDisarm, readConfiguration } from '../../src/compose/configuration.ts';
import { pathsFor } from '../../src/compose/paths.ts';
import { requireWires } from '../../src/methods/boards.ts';
import { failureOf } from '../support/bench.ts';

const F446 = 'octopus-v1.1-f446';
let top: string;
const paths = () =>
  pathsFor({ data: undefined, printerData: top, virtual: undefined, virtualDir: undefined });
const write = (file: string, text: string | Uint8Array) => {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o600 });
};
/** `conf` is octopus-flasher.conf, `host` host.conf. */
const read = (conf?: string, host?: string) => {
  if (conf !== undefined) write(paths().config, conf);
  if (host !== undefined) write(paths().hostConf, host);
  return readConfiguration(paths());
};
const one = (more = '') => `[board ${F446}]\n${more}`;
const placeOf = async (conf: string, host?: string, name = F446) =>
  (await read(conf, host)).boards?.place(name);

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'octopus-conf-')));
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

test('without a file: no boards of its own, and the Moonraker of this printer folder', async () => {
  const { settings, boards, hostFile } = await read();
  expect(boards).toBeUndefined();
  expect(settings.printers).toMatchObject([
    { name: 'printer', moonraker: { kind: 'unix', path: join(top, 'comms', 'moonraker.sock') } },
  ]);
  expect(hostFile.path).toBe(join(top, 'octopus-flasher', 'host.conf'));
  expect(dataPathOf(settings.printers[0]!, paths())).toBe(top);
});

test('one board is the only one, with its image, its name and the default pins', async () => {
  const { boards } = await read(
    `[board left]\nboard: ${F446}\nimage: backup:abc\nmcu: left\nkeep_backups: 5\n`,
  );
  expect(boards).toMatchObject({ names: ['left'], configured: ['left'], onlyBoard: 'left' });
  expect(boards?.imageOf('left')).toBe('backup:abc');
  expect(boards?.place('left')).toMatchObject({
    board: { name: 'left', mcu: { name: 'stm32f446xx' }, applicationAddress: 0x0800_8000 },
    pins: { boot0: 'gpio26', nrst: 'gpio19' },
    section: 'mcu left',
    keepBackups: 5,
  });
  const unknown = await failureOf((async () => boards?.place('lfet'))());
  expect(unknown).toMatchObject({ code: 'unknown-board', advice: 'Did you mean left? Configured: left.' });
  const long = await failureOf((async () => boards?.place('x'.repeat(4000)))());
  expect(long.message.length).toBeLessThan(200);
});

const TWO = `[printer a]
moonraker: /srv/a/comms/moonraker.sock
[printer b]
moonraker: http://127.0.0.1:7126
api_key: 0123456789abcdef
[board left]
board: ${F446}
printer: a
[board right]
board: octopus-pro-h723
printer: b
`;
const TWO_HOST = '[board right]\nboot0_pin: gpio20\nreset_pin: gpio21\n';

test('two boards of two printers: nobody is the default, each has its own wires', async () => {
  const { boards, settings } = await read(TWO, TWO_HOST);
  expect(boards).toMatchObject({ names: ['left', 'right'], onlyBoard: undefined });
  expect(boards?.place('right')).toMatchObject({
    board: { name: 'right', mcu: { name: 'stm32h723xx' } },
    section: 'mcu',
    pins: { boot0: 'gpio20', nrst: 'gpio21' },
  });
  expect(boards?.place('left').pins).toEqual({ boot0: 'gpio26', nrst: 'gpio19' });
  expect(settings.printers.map((printer) => dataPathOf(printer, paths()))).toEqual(['/srv/a', top]);
  // Without words about the wires both would hang on the same two.
  expect(await failureOf(read(TWO, ''))).toMatchObject({
    code: 'bad-config',
    place: expect.stringContaining(top),
  });
});

test("every printer's folder is closed to host.conf", async () => {
  const inner = join(top, 'second');
  const conf = TWO.replace('/srv/a/', `${inner}/`);
  mkdirSync(join(inner, 'gcodes'), { recursive: true });
  const { hostFile } = await read(conf, `[octopus-flasher]\nfirmware_folders: ${inner}/gcodes\n${TWO_HOST}`);
  expect(await failureOf(hostFile.imageRights('/nothing'))).toMatchObject({ code: 'bad-config' });
});

test('heaters: unused, behind a power device, or unknown', async () => {
  const device = '[octopus-flasher]\npower_device: psu\n';
  const unused = (list: string) => `[board ${F446}]\nunused_heaters: ${list}\n`;
  for (const [host, heaters] of [
    ['', { kind: 'unknown' }],
    [unused('HE2'), { kind: 'unknown' }],
    [unused('HE2, HE3'), { kind: 'unused' }],
    [unused('he3, he2, he0'), { kind: 'unused' }],
    [unused('HE0, HE1'), { kind: 'unknown' }],
    [device, { kind: 'power', device: 'psu' }],
    [device + unused('HE2'), { kind: 'power', device: 'psu' }],
    [device + unused('HE2, HE3'), { kind: 'unused' }],
    [`${device}[board ${F446}]\npower_device: own\n`, { kind: 'power', device: 'own' }],
  ] as const)
    expect([host, (await placeOf(one(), host))?.heaters]).toEqual([host, heaters]);
  // Whoever may edit the file through Moonraker may not say what hangs on the heaters.
  for (const key of ['unused_heaters: HE2, HE3', 'power_device: psu'])
    expect(await failureOf(read(one(key), ''))).toMatchObject({ code: 'bad-config' });
});

test('a board without wires is known, and says so when it is to be reached', async () => {
  const { boards } = await read(one(), `[board ${F446}]\nboot0_pin: none\nreset_pin: none\n`);
  expect(boards?.names).toEqual([F446]);
  const place = boards?.place(F446);
  if (place === undefined) throw new Error('no place');
  expect(await failureOf((async () => requireWires(place, 'octopus.reset'))())).toMatchObject({
    code: 'bad-config',
    advice: expect.stringContaining('host.conf'),
  });
});

test("the wires are host.conf's to say", async () => {
  const error = await failureOf(read(one('boot0_pin: gpio5\n'), ''));
  expect(error).toMatchObject({ code: 'bad-config', place: `${paths().config}:2` });
});

test('files that cannot be understood are refused with their place', async () => {
  expect(await failureOf(read(one('imge: x\n')))).toMatchObject({
    code: 'bad-config',
    place: `${paths().config}:2`,
  });
  expect(await failureOf(read(one(), '[octopus-flasher]\narmed: perhaps\n'))).toMatchObject({
    code: 'bad-config',
    place: `${paths().hostConf}:2`,
  });
  chmodSync(paths().hostConf, 0o666);
  expect(await failureOf(read(one(), undefined))).toMatchObject({ code: 'bad-config' });
  write(paths().config, Buffer.from('# f\xfcr\n', 'latin1'));
  expect(await failureOf(read())).toMatchObject({ code: 'bad-config', place: paths().config });
  rmSync(paths().config);
  mkdirSync(paths().config);
  expect(await failureOf(read())).toMatchObject({ code: 'bad-config', place: paths().config });
});

test('a spoilt octopus-flasher.conf keeps nobody from disarming', async () => {
  await read('[nonsense', '[octopus-flasher]\narmed: yes\n').catch(() => {});
  const file = await hostFileToDisarm(paths());
  await file.setArmed(false);
  expect((await file.read()).isArmed).toBe(false);
});
