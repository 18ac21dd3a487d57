// The whole of it in real time: sockets in a folder and on a port, a pseudo-terminal, and what a person is told.
import { afterEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBench, type BenchOptions, type VirtualBench } from '../../../src/virtual/bench.ts';
import { NO_HOST_TIMES, serveBench, type Served } from '../../../src/virtual/serve/serve.ts';
import { forgeKlipper } from '../../../src/virtual/forge.ts';
import { busIdsIn, readPorts } from '../../../src/virtual/serve/vhci.ts';
import { TIMES } from '../../../src/virtual/times.ts';
import { ackOf, APP, block, frame, send, VECTOR } from '../katapult-rig.ts';
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

test('a pseudo-terminal: touched by stty it is Katapult, which flashes, verifies and starts; the link stays right', async () => {
  const link = join(folder(), 'tty');
  const { bench, told } = await serve({ pty: link }, { state: 'katapult' });
  const shown = (count: number) => until(() => told.filter((line) => line.startsWith(link)).length === count);
  await shown(1);
  spawnSync('stty', ['-F', link, '1200']);
  await shown(2);
  expect(bench.board.running.kind).toBe('katapult');
  const tty = await open(link, 'r+');
  const ask = async (message: Uint8Array, length: number): Promise<Buffer> => {
    await tty.write(message);
    const answer = Buffer.alloc(length);
    for (let got = 0; got < length;) got += (await tty.read(answer, got)).bytesRead;
    return answer;
  };
  // What flashtool looks for: any process with the terminal open, but for the one that asks.
  const { dev, ino } = statSync(link);
  expect(holders(dev, ino)).toEqual([process.pid]);
  expect((await ask(send(APP.f446, block(1)), 16)).toString('hex')).toBe(ackOf(0x12, APP.f446));
  expect((await ask(frame(0x14, APP.f446), 80)).subarray(12, 76)).toEqual(Buffer.from(block(1)));
  const image = forgeKlipper({ mcu: 'stm32f446xx' });
  for (let at = 0; at < image.length; at += 64) {
    const data = new Uint8Array(64).fill(0xff);
    data.set(image.subarray(at, at + 64));
    await ask(send(APP.f446 + at, data), 16);
  }
  expect((await ask(hex(VECTOR.complete), 12)).toString('hex')).toBe(ackOf(0x15));
  // Whoever has it open is told that the device has left.
  const end = await tty.read(Buffer.alloc(8)).then(
    ({ bytesRead }) => bytesRead,
    ({ code }: { code: string }) => code,
  );
  expect([0, 'EIO']).toContain(end);
  await tty.close();
  await shown(3);
  expect(bench.board.klipper?.version).toBe('v0.13.0-730-g84104bbbd');
  expect(readlinkSync(link)).toMatch(/^\/dev\/pts\/\d+$/);
});

function holders(dev: number, ino: number): number[] {
  const isIt = (path: string): boolean => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.dev === dev && stat.ino === ino;
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/fd`))
    .filter((name) => {
      try {
        return readdirSync(`/proc/${name}/fd`).some((fd) => isIt(`/proc/${name}/fd/${fd}`));
      } catch {
        return false;
      }
    })
    .map(Number);
}

test('a pseudo-terminal: programs that come and go ask for nothing, and what they leave unread goes with them', async () => {
  const link = join(folder(), 'tty');
  const { bench, told } = await serve({ pty: link }, { state: 'katapult-empty' });
  await until(() => told.some((line) => line.startsWith(link)));
  for (let n = 0; n < 3; n++) {
    const tty = await open(link, 'r+');
    const answer = Buffer.alloc(60);
    await tty.write(hex(VECTOR.connect));
    for (let got = 0; got < answer.length;) got += (await tty.read(answer, got)).bytesRead;
    expect(answer.toString('hex')).toBe(VECTOR.connectAck);
    await tty.write(hex(VECTOR.eof));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await tty.close();
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  expect([bench.board.running.kind, told.length]).toEqual(['katapult', 1]);
});

test('a pseudo-terminal where something else lies is refused', async () => {
  const link = join(folder(), 'tty');
  writeFileSync(link, 'mine');
  await expect(serve({ pty: link })).rejects.toMatchObject({ code: 'busy', place: link });
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
