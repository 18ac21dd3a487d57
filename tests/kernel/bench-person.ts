// In the guest: asks the person at the bench, who is on the host beside the virtual board.
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST_ADDRESS } from './qemu.ts';

export async function askBench(word: 'plug' | 'pull' | 'meter'): Promise<unknown> {
  const socket = connect(Number(process.env['BENCH_PERSON_PORT']), HOST_ADDRESS);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.write(`${word}\n`);
  await once(socket, 'close');
  return JSON.parse(answer);
}

/** The time is a limit, never an expectation. */
export async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  const limit = Date.now() + 30_000;
  while (!(await look())) {
    if (Date.now() > limit) throw new Error(`not within 30 s: ${what}`);
    await sleep(50);
  }
}
