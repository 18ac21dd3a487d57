// An update as Mainsail's user asks for it, and what runs afterwards.
import { expect } from '@jest/globals';
import { CLONE, UNIT, type Site } from './site.ts';

/** As Mainsail asks; the answer comes when it is done. */
export async function updateManager(site: Site, verb: string, more: object = {}): Promise<void> {
  const client = await site.client();
  const answer = await client.ask(`machine.update.${verb}`, { name: UNIT, ...more });
  const said = client.heard.filter(({ method }) => method === 'notify_update_response');
  expect([answer['error'], said.map(({ params }) => params[0].message).join('\n')]).toEqual([
    undefined,
    expect.anything(),
  ]);
}

/** Does `update`, and waits until the unit was started anew and its agent says `version`. */
export async function restartedAs(site: Site, version: string, update: () => Promise<void>): Promise<void> {
  const started = `systemctl show -p InvocationID --value ${UNIT}`;
  const before = await site.vm.said(started);
  await update();
  await site.until(
    `version ${version} runs`,
    async () => {
      const { agents = [] } = (await site.get('/server/extensions/list')) ?? {};
      const says = agents.some(
        (one: Record<string, unknown>) => one['name'] === 'octopus' && one['version'] === version,
      );
      return says && (await site.vm.said(started)) !== before;
    },
    600_000,
  );
  expect(await site.vm.said(`systemctl is-active ${UNIT} klipper`)).toBe('active\nactive');
}

export async function updateStatus(site: Site): Promise<Record<string, unknown>> {
  return (await site.get('/machine/update/status')).version_info[UNIT];
}

export const describedAs = (site: Site): Promise<string> => site.vm.said(`git -C ${CLONE} describe`);
