// octopus.doctor: what can be said without touching anything: evidence, what it means, what to do.
import { asOctopusError } from '../errors.ts';
import { status, type BoardStatus } from '../flash/status.ts';
import { unfinishedJob } from '../jobs/journal.ts';
import { board } from './common-parameters.ts';
import { identityFindings, twinFindings } from './identity-findings.ts';
import { defineMethod, type Context, type DaemonFacts } from './method.ts';
import { optional } from './parameters.ts';

export interface Finding {
  readonly level: 'ok' | 'warning' | 'error';
  /** A board's name, `host`, or a printer's. */
  readonly about: string;
  readonly evidence: string;
  readonly meaning: string;
  /** Null where nothing is to be done. */
  readonly cure: string | null;
}

export const doctor = defineMethod({
  name: 'octopus.doctor',
  summary: 'what is amiss and what to do, touching nothing',
  needs: 'board',
  parameters: { board: optional(board, 'only this board') },
  async run(context, values) {
    const { boards: book, daemon } = context;
    const only = values.board ?? book.onlyBoard;
    const names = only === undefined ? book.configured : [only];
    const perBoard = await Promise.all(names.map((name) => examine(context, name)));
    const seen = perBoard.flatMap((one) => (one.status === undefined ? [] : [one.status]));
    const found = perBoard.flatMap(({ findings }) => findings);
    return { findings: [...hostFindings(await daemon?.(), names), ...found, ...twinFindings(seen)] };
  },
});

function hostFindings(daemon: DaemonFacts | undefined, boards: readonly string[]): readonly Finding[] {
  const found: Finding[] = [];
  if (boards.length === 0)
    found.push({
      level: 'warning',
      about: 'host',
      evidence: 'octopus-flasher.conf names no board',
      meaning: 'Every request has to name its board by its model, and the default pins are used.',
      cure: 'Write a [board NAME] section: docs/configuration.md.',
    });
  if (daemon === undefined) {
    found.push({
      level: 'warning',
      about: 'host',
      evidence: 'no daemon runs',
      meaning: 'The printer has no button; commands on the host work all the same.',
      cure: 'systemctl start octopus-flasher, or octopus daemon.',
    });
    return found;
  }
  found.push(
    daemon.isArmed
      ? ok('host', 'armed', "Requests from the printer's screen may flash.")
      : {
          level: 'warning',
          about: 'host',
          evidence: 'not armed',
          meaning: "Requests from the printer's screen that change a board are refused.",
          cure: 'If the screen shall flash: octopus arm.',
        },
  );
  for (const { name, moonraker } of daemon.printers) {
    found.push(
      moonraker === 'up'
        ? ok(name, 'connected to Moonraker', 'Registered as agent octopus.')
        : {
            level: 'error',
            about: name,
            evidence: 'no connection to Moonraker',
            meaning: 'Nothing can be asked of the printer, so nothing that needs it stopped is done.',
            cure: 'systemctl status moonraker; then the moonraker: line in octopus-flasher.conf, and the log (journalctl -u octopus-flasher).',
          },
    );
  }
  return found;
}

async function examine({ kit, place }: Context<'board'>, name: string) {
  const found: Finding[] = [];
  let seen: BoardStatus | undefined;
  try {
    seen = await status(kit, place(name));
    found.push(...usbFindings(name, seen), ...identityFindings(name, seen), ...klipperFindings(name, seen));
  } catch (thrown) {
    const { message, advice } = asOctopusError(thrown);
    found.push({
      level: 'error',
      about: name,
      evidence: message,
      meaning: 'It cannot be looked at.',
      cure: advice,
    });
  }
  const dead = await unfinishedJob(kit, name).catch((): undefined => undefined);
  if (dead !== undefined)
    found.push({
      level: 'error',
      about: name,
      evidence: `${dead.method} of ${dead.startedAt} ended after ${dead.steps.length} steps without a word`,
      meaning: 'The board may hold half of an image.',
      cure: 'octopus repair looks after it, as every start of the daemon does; or flash it again.',
    });
  return { findings: found, status: seen };
}

function usbFindings(name: string, { devices }: BoardStatus): readonly Finding[] {
  if (devices.length === 0)
    return [
      {
        level: 'error',
        about: name,
        evidence: 'nothing on USB looks like this board',
        meaning:
          'It is off, its cable carries power only or sits elsewhere, or it runs firmware that speaks by CAN or UART.',
        cure: 'Check power and cable; a board behind CAN is listed by octopus canbus-query.',
      },
    ];
  return devices.map(({ kind, busPath, product }) =>
    kind === 'romDfu'
      ? {
          level: 'warning' as const,
          about: name,
          evidence: `in DFU mode at USB ${busPath}`,
          meaning:
            'BOOT0 was high at its last reset: a fitted jumper or a job that holds it; or its flash is empty.',
          cure: 'Take the jumper off BOOT0 and reset the board: octopus reset.',
        }
      : ok(name, `${kind} at USB ${busPath}${product === null ? '' : ` (${product})`}`, 'It is there.'),
  );
}

function klipperFindings(name: string, { klipper }: BoardStatus): readonly Finding[] {
  if (klipper === 'ready') return [ok(name, 'Klipper is ready', 'The printer works.')];
  if (klipper === 'absent') return [];
  if (klipper === 'unreachable')
    return [
      {
        level: 'error',
        about: name,
        evidence: 'nobody answers for the printer',
        meaning:
          'Without Moonraker nobody knows whether the printer is idle and cold: nothing that needs that is begun.',
        cure: 'systemctl status moonraker; then the moonraker: line in octopus-flasher.conf.',
      },
    ];
  return [
    {
      level: 'warning',
      about: name,
      evidence: `Klipper is in state "${klipper}"`,
      meaning:
        'It runs no macros now, so FLASH_OCTOPUS does not answer. Firmware that does not fit the host is a usual reason.',
      cure: 'octopus flash on the host works in every state; it asks for confirm: still, and cold where no temperature is known.',
    },
  ];
}

function ok(about: string, evidence: string, meaning: string): Finding {
  return { level: 'ok', about, evidence, meaning, cure: null };
}
