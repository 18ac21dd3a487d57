// A flash as Mainsail's user asks for it, of the virtual Octopus by the unit: through Moonraker, with what the guest's
// services and the board's wires did meanwhile.
import { expect } from '@jest/globals';
import { forgeKlipper, type KlipperTransport } from '../../../src/virtual/forge.ts';
import type { PlainClient } from '../../moonraker/real/real-moonraker.ts';
import type { Site } from './site.ts';

type Message = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any
const APP = 0x0800_8000;

let count = 0;
/** Another one each time, so that there is always something to be written. */
export function nextKlipper(transport: KlipperTransport = 'usb') {
  count += 1;
  const version = `v0.13.0-${800 + count}`;
  return { version, image: forgeKlipper({ mcu: 'stm32f446xx', version, transport, seed: 200 + count }) };
}

export const held = (site: Site, image: Uint8Array): boolean =>
  Buffer.from(site.board.bench.flash.peek(APP, image.length)).equals(Buffer.from(image));

/** @returns the id of the job. */
export async function begin(site: Site, client: PlainClient, image: Uint8Array): Promise<string> {
  const path = site.image('klipper.bin', image);
  const answer: Message = await client.agent('octopus.flash', { board: 'octopus', image: path });
  if (typeof answer['result']?.job !== 'string') throw new Error(JSON.stringify(answer));
  return answer['result'].job;
}

const eventsOf = (client: PlainClient, job: string) =>
  client.events('job').filter((one) => one['job'] === job);

export async function inPhase(site: Site, client: PlainClient, job: string, phase: string): Promise<void> {
  await site.until(`phase ${phase}`, async () =>
    eventsOf(client, job).some((event) => event['kind'] === 'phase' && event['phase'] === phase),
  );
}

export async function ended(site: Site, client: PlainClient, job: string): Promise<Message> {
  return site.until('the end of the job', async () =>
    eventsOf(client, job).find(({ kind }) => kind === 'ended'),
  );
}

/** What Moonraker said of klipper.service since the client came: `inactive`, `active`. */
export const klipperStates = (client: PlainClient): string[] =>
  client.heard.flatMap(({ method, params }) => {
    const state = method === 'notify_service_state_changed' ? params[0].klipper?.active_state : undefined;
    return state === undefined ? [] : [state as string];
  });

/**
 * The kernel's driver of the expander waits 100 ms for it, which is served by this very process: on a busy machine a
 * flash may fail at that, the board unchanged, and is begun again.
 */
export async function flashed(site: Site, image: Uint8Array): Promise<{ end: Message; client: PlainClient }> {
  for (let tries = 1; ; tries++) {
    const client = await site.client();
    const end = await ended(site, client, await begin(site, client, image));
    const { message = '', onBoard = '' } = end['error'] ?? {};
    if (tries === 3 || !/EREMOTEIO|ETIMEDOUT/.test(message) || !/not changed/.test(onBoard))
      return { end, client };
  }
}

export async function expectFlashed(site: Site, transport: KlipperTransport = 'usb'): Promise<void> {
  const { image, version } = nextKlipper(transport);
  const { end, client } = await flashed(site, image);
  expect(end).toMatchObject({ state: 'done', result: { verified: true, version } });
  expect(held(site, image)).toBe(true);
  expect(site.board.bench.electricalFaults).toEqual([]);
  const { gpio } = site.board.bench;
  expect([gpio.drive('gpio26'), gpio.drive('gpio19')]).toEqual(['floating', 'floating']);
  const states = klipperStates(client);
  expect(states).toContain('inactive');
  expect(states.at(-1)).toBe('active');
}
