// The whole of it in real time: sockets in a folder and on a port, a pseudo-terminal, and what a person is told.
import { afterEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync, statSync, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBench, type BenchOptions, type VirtualBench } from '../../../src/virtual/bench.ts';
import { NO_HOST_TIMES, serveBench, type Served } from '../../../src/virtual/serve/serve.ts';
import { busIdsIn, readPorts } from '../../../src/virtual/serve/vhci.ts';
import { TIMES } from '../../../src/virtual/times.ts';
import { hex } from './served.ts';

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function serve(
  options: Parameters<typeof serveBench>[1],
  bench: BenchOptions = {},
): Promise<{ bench: VirtualBench; served: Served; told: string[] }> {
  const timesOverride = { ...TIMES.zero, ...NO_HOST_TIMES };
  const one = await createBench({ clock: 'real', timesOverride, ...bench });
  endings.push(() => one.dispose());
  const told: string[] = [];
  const served = await serveBench(one, options, (line) => told.push(line));
  endings.push(() => served.close());
  return { bench: one, served, told };
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'octopus-serve-'));
  endings.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function devlist(to: string | number): Promise<Buffer> {
  const socket: Socket = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
  socket.write(hex('0111 8005 00000000'));
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
};

test('USB/IP on a port of its own choice: board and expander; what comes and goes is told', async () => {
  const { bench, served, told } = await serve({ usbip: '0' });
  const { usbipPort = 0 } = served;
  expect(busIdsIn(await devlist(usbipPort))).toEqual(['1-1.2', '9-1']);
  expect(served.places).toEqual([`USB/IP 127.0.0.1:${usbipPort}: 1-1.2 the board, 9-1 BOOT0 and NRST`]);
  bench.lines.drive('boot0', 'high');
  bench.lines.drive('nrst', 'low');
  await until(() => told.some((line) => line.includes('left')));
  expect(busIdsIn(await devlist(usbipPort))).toEqual(['9-1']);
  bench.lines.drive('nrst', 'high');
  await until(() => told.some((line) => line.includes('df11')));
  expect(told.filter((line) => line !== '1-1.2 1d50:614e is on the bus')).toEqual([
    'BOOT0 high',
    'NRST low',
    '1-1.2 1d50:614e has left the bus',
    'NRST high',
    'electrical fault: the host drove NRST high',
    '1-1.2 0483:df11 is on the bus',
  ]);
});

test('sockets in a folder: a dead one is replaced, a served one is left alone', async () => {
  const path = join(folder(), 'usbip');
  const first = await serve({ usbip: path });
  await expect(serve({ usbip: path })).rejects.toMatchObject({ code: 'busy', place: path });
  expect((await devlist(path)).readUInt32BE(8)).toBe(2);
  await first.served.close();
  // What a server leaves behind that was killed.
  const { spawnSync } = await import('node:child_process');
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  expect(statSync(path).isSocket()).toBe(true);
  const second = await serve({ usbip: path });
  expect((await devlist(path)).readUInt32BE(8)).toBe(2);
  await second.served.close();
});

test('usbredir: the board at the socket, the expander beside it', async () => {
  const path = join(folder(), 'redir');
  await serve({ usbredir: path });
  for (const one of [path, `${path}.gpio`]) {
    const socket = connect(one);
    endings.push(() => socket.destroy());
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    expect([greeting.readUInt32LE(0), greeting.toString('latin1', 12, 35)]).toEqual([
      0,
      'octopus-flasher virtual',
    ]);
  }
});

test('a pseudo-terminal: Klipper answers identify, and it goes with the board', async () => {
  const link = join(folder(), 'tty');
  const { bench, told } = await serve({ pty: link });
  await until(() => told.some((line) => line.startsWith(link)));
  expect(readlinkSync(link)).toMatch(/^\/dev\/pts\/\d+$/);
  const tty = await open(link, 'r+');
  await tty.write(hex('08100100285e9f7e'));
  const answer = Buffer.alloc(48);
  for (let got = 0; got < answer.length;) got += (await tty.read(answer, got)).bytesRead;
  expect(answer.subarray(0, 5)).toEqual(hex('3011000028'));
  await tty.close();
  bench.unplug();
  await until(() => !existsSync(link));
});

test('planned faults reach a foreign kernel: a stall, silence, a lost answer, and a cable that comes out', async () => {
  const { bench, served } = await serve({ usbip: '0' }, { lines: { jumperFitted: true } });
  const plan: ('stall' | 'timeout' | 'lost-answer' | 'unplug')[] = [
    'stall',
    'timeout',
    'lost-answer',
    'unplug',
  ];
  const socket = connect(served.usbipPort ?? 0, '127.0.0.1');
  endings.push(() => socket.destroy());
  const answers: string[] = [];
  socket.write(Buffer.concat([hex('0111 8003 00000000'), Buffer.from('1-1.2'.padEnd(32, '\0'))]));
  await once(socket, 'data');
  socket.on('data', (bytes: Buffer) => answers.push(`${bytes.readUInt32BE(4)} ${bytes.readInt32BE(0x14)}`));
  const asked: number[] = [];
  bench.faults.beforeTransfer = (_n, setup) => {
    asked.push(setup.bRequest);
    return plan[asked.length - 1];
  };
  for (const seqnum of [1, 2, 3, 4])
    socket.write(
      hex(
        `00000001 0000000${seqnum} 00010003 00000001 00000000 00000000 00000006 00000000 ffffffff 00000000 a103000000000600`,
      ),
    );
  await once(socket, 'close');
  expect([answers, asked]).toEqual([['1 -32'], [3, 3, 3, 3]]);
});

test("vhci's table of ports, and a list of devices", () => {
  const status = [
    'hub port sta spd dev      sockfd local_busid',
    'hs  0000 006 002 00010003 000021 1-1',
    'hs  0001 004 000 00000000 000000 0-0',
    'ss  0008 004 000 00000000 000000 0-0',
  ].join('\n');
  expect([...readPorts(status)]).toEqual([
    [0, 6],
    [1, 4],
  ]);
  expect(busIdsIn(Buffer.alloc(0))).toEqual([]);
  expect(busIdsIn(Buffer.alloc(400))).toEqual(['']);
});
