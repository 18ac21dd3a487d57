// Composition, `octopus virtual serve` and `attach`: a bench in real time behind USB/IP, usbredir and a terminal.
import type { Settings, VirtualServing } from '../cli/world.ts';
import { OctopusError } from '../errors.ts';
import { canRole, loadVirtualBoard } from '../virtual/board-data.ts';
import { kindFirmwareSettings } from '../virtual/firmware-settings.ts';
import { NO_HOST_TIMES, serveBench } from '../virtual/serve/serve.ts';
import { keepAttached } from '../virtual/serve/vhci.ts';
import { loadMcu } from '../virtual/silicon/mcu-data.ts';
import { kindRomSettings } from '../virtual/silicon/rom-settings.ts';
import { TIMES } from '../virtual/times.ts';
import { openVirtualKit } from './virtual-kit.ts';

/** Where nobody says how many: two, so that somebody acknowledges and answers. */
const CAN_BUS = { nodes: [{}, { state: 'katapult' }] } as const;

/** How long a finger is on the button. */
const PRESS_MS = 50;

/** Throws what `openVirtualKit` throws, and `busy` where something is served already. */
export async function serveVirtual(settings: Settings, asked: VirtualServing): Promise<void> {
  const { signal, tell, attachTo } = asked;
  if (attachTo !== undefined) {
    await keepAttached(attachTo, signal, tell);
    return;
  }
  const board = settings.virtual;
  if (board === undefined)
    throw new OctopusError('bad-parameter', 'no virtual board is named', {
      advice: 'Name one: octopus virtual serve octopus-v1.1-f446.',
    });
  const { bench, nodes, dispose } = await openVirtualKit({ ...settings, fast: false }, board, {
    clock: 'real',
    ...(asked.isKind === true
      ? { rom: kindRomSettings(loadMcu(loadVirtualBoard(board).mcu).name), firmware: kindFirmwareSettings() }
      : {}),
    can: CAN_BUS,
    // Fast here: no chip takes time for anything, so that only the host's own is left.
    ...(settings.fast ? { times: 'zero' } : {}),
    timesOverride: { ...(settings.fast ? TIMES.zero : {}), ...NO_HOST_TIMES },
  });
  // The button on the board, for whoever has no wire to it: pressed twice within half a second it is a double reset.
  const press = (): void => {
    tell('reset is pressed');
    void bench.pressReset(PRESS_MS);
  };
  process.on('SIGUSR2', press);
  try {
    // The two are for a board that is a bridge or becomes one; an adapter is there for those who ask for toolheads.
    if (nodes === undefined && canRole(bench.state) !== 'node') bench.can.unplugAdapter();
    const served = await serveBench(bench, asked, tell);
    for (const place of served.places) tell(place);
    tell(`${board} is served until this program is stopped; kill -USR2 ${process.pid} presses its reset.`);
    await aborted(signal);
    await served.close();
  } finally {
    process.off('SIGUSR2', press);
    await dispose();
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
