// Command line: each method's answer in words.
import type { FlashEvent } from '../flash/report.ts';
import type { FlashAnswer, PassportAnswer } from '../methods/answers.ts';
import type { AnswerOf, METHODS } from '../methods/table.ts';

export function statusSummary({ boards, jobs, daemon }: AnswerOf<typeof METHODS.status>): readonly string[] {
  const lines = boards.flatMap(boardSummary);
  const first = lines.length === 0 ? ['No board is configured; see octopus status --board NAME.'] : lines;
  if (daemon === null) return first;
  return [
    ...first,
    ...rows([
      ['daemon', `octopus-flasher ${daemon.version}`],
      ['armed', daemon.isArmed ? "yes: the printer's screen may flash" : 'no (octopus arm)'],
      ...daemon.printers.map((printer): Row => ['Moonraker', `of ${printer.name}: ${printer.moonraker}`]),
      ...jobs.map((job): Row => ['runs', `job ${job}`]),
    ]),
  ];
}

type BoardStatus = AnswerOf<typeof METHODS.status>['boards'][number];

function boardSummary(answer: BoardStatus): readonly string[] {
  const { lastFlash, unfinishedJob: dead, replacement: open, devices } = answer;
  return [
    `${answer.title}, ${answer.mcu}`,
    ...rows([
      ['on USB', devices.length === 0 ? 'nothing that looks like it' : undefined],
      ...devices.map((device): Row => [
        'on USB',
        `${device.kind} at ${device.busPath} (${[device.product, device.serial].filter(Boolean).join(' ')})`,
      ]),
      ...cardRows(answer.identity),
      ['Klipper', answer.klipper],
      [
        'last flash',
        lastFlash === null
          ? 'none by this program'
          : `${lastFlash.kind} ${lastFlash.version ?? ''} on ${lastFlash.date}`,
      ],
      ['backups', String(answer.backups)],
      [
        'unfinished',
        dead &&
          `${dead.method} of ${dead.startedAt} died after ${dead.steps} steps: octopus repair looks after it`,
      ],
      ['half', open && `${open.kind} ${open.version ?? ''} of ${open.startedAt} was not seen to run yet`],
    ]),
  ];
}

type Card = BoardStatus['identity'];

const CHIP_TOLD_BY: Readonly<Record<NonNullable<Card['chipIdFrom']>, string>> = {
  rom: 'read by its ROM',
  usb: 'by the USB serial of its firmware',
  'only-candidate': 'of the only device that may be it',
};

function cardRows(card: Card): readonly Row[] {
  const { chipId, chipIdFrom, strangerOnUsb, dfuSerial, canUuid, section } = card;
  const told = chipIdFrom === null ? '' : ` (${CHIP_TOLD_BY[chipIdFrom]})`;
  const dfu = dfuSerial.serials.join(' or ');
  return [
    ['chip', chipId === null ? 'id not known yet: octopus reset learns it' : `${chipId}${told}`],
    ['stranger', strangerOnUsb && `chip ${strangerOnUsb} is in its place on USB: octopus doctor`],
    ['USB serial', card.usbSerial],
    ['DFU serial', dfu === '' ? undefined : `${dfu}${dfuSerial.kind === 'constant' ? ' (not unique)' : ''}`],
    ['CAN uuid', canUuid],
    ['port', card.busPath && `USB ${card.busPath}, by its reset wire`],
    ['printer.cfg', section && `[${section}]${uuidWords(card)}`],
  ];
}

function uuidWords({ canbusUuid, isCanbusUuidRight }: Card): string {
  if (canbusUuid === null) return '';
  return `, canbus_uuid ${canbusUuid}${isCanbusUuidRight === false ? " is another board's" : ''}`;
}

export function resetSummary({ seen, busPath }: AnswerOf<typeof METHODS.reset>): readonly string[] {
  if (seen === null) return ['Reset; nothing came back on USB.'];
  return [`Reset; ${seen} came back at USB ${busPath}.`];
}

export function dfuSummary({ busPath, leftBecause }: AnswerOf<typeof METHODS.dfuEnter>): readonly string[] {
  const why = leftBecause === 'time' ? 'the time was over' : 'asked to leave';
  return [`Was in DFU mode at USB ${busPath}; ${why}, booted again.`];
}

export function linesSummary({ boards }: AnswerOf<typeof METHODS.linesRelease>): readonly string[] {
  if (boards.length === 0) return ['No board is configured: no line was touched.'];
  return boards.map((board) => `BOOT0 and reset of ${board} float.`);
}

export function doctorSummary({ findings }: AnswerOf<typeof METHODS.doctor>): readonly string[] {
  const amiss = findings.filter(({ level }) => level !== 'ok');
  return [
    amiss.length === 0
      ? 'Nothing amiss.'
      : `${amiss.length} of ${findings.length} findings ask for something:`,
    ...findings.flatMap(({ level, about, evidence, meaning, cure }) => [
      `  ${level.padEnd(7)} ${about}: ${evidence}`,
      ...(level === 'ok' ? [] : [`          ${meaning}`]),
      ...(cure === null ? [] : [`          cure: ${cure}`]),
    ]),
  ];
}

export function jobSummary(job: AnswerOf<typeof METHODS.jobGet>): readonly string[] {
  return [
    jobLine(job),
    ...job.events.map((event) => `  ${String(event.n).padStart(4)} ${eventWords(event)}`),
    ...(job.error === undefined
      ? []
      : [`  ${job.error.message} (${job.error.code})`, `  ${job.error.advice}`]),
  ];
}

export function jobListSummary({ jobs }: AnswerOf<typeof METHODS.jobList>): readonly string[] {
  return jobs.length === 0 ? ['No jobs.'] : jobs.map(jobLine);
}

export function jobCancelSummary(answer: AnswerOf<typeof METHODS.jobCancel>): readonly string[] {
  const { job, state, cancelAsked } = answer;
  return [cancelAsked ? `Job ${job} was asked to stop.` : `Job ${job} has ended before: ${state}.`];
}

function jobLine({ id, method, board, state }: { id: string; method: string; board: string; state: string }) {
  return `${id}  ${method}  ${board}  ${state}`;
}

function eventWords(event: FlashEvent): string {
  if (event.kind === 'phase') return event.phase;
  if (event.kind === 'progress') return `${event.phase} ${event.doneBytes} of ${event.totalBytes} bytes`;
  return event.text;
}

export function wiringSummary(answer: AnswerOf<typeof METHODS.wiringTest>): readonly string[] {
  const { resetHoldMs, applicationAppearsMs } = answer;
  return [
    `Both wires of ${answer.board} work: reset, and BOOT0 with reset.`,
    ...rows([
      ['at', `USB ${answer.busPath}`],
      ['runs', answer.runs ?? 'nothing on USB'],
      [
        'reset',
        resetHoldMs === null ? undefined : `a pulse of ${resetHoldMs} ms is enough (100 ms are given)`,
      ],
      ['DFU', `on USB ${seconds(answer.romAppearsMs)} after reset`],
      [
        'firmware',
        applicationAppearsMs === null ? undefined : `on USB ${seconds(applicationAppearsMs)} after reset`,
      ],
    ]),
    ...answer.notes.map((note) => `  ${note}`),
  ];
}

type Row = readonly [label: string, text: string | undefined | null];

/** Lines without a text are left out. */
export function rows(list: readonly Row[]): string[] {
  return list.flatMap(([label, text]) =>
    text === undefined || text === null ? [] : [`  ${label.padEnd(11)} ${text}`],
  );
}

export function flashSummary(answer: FlashAnswer): readonly string[] {
  const { board, image } = answer;
  const what = `${image.kind} ${answer.version ?? ''}`.trim();
  if (answer.state === 'planned') {
    return [
      `Nothing was touched. A real run would write ${what} to ${board} at ${answer.linkAddress ?? '?'}.`,
    ];
  }
  const { backup, timings } = answer;
  return [
    `Done: ${board} has ${what}.`,
    ...rows([
      ['was there', [answer.previous ?? 'nothing known', behind(answer.bootloader)].join('')],
      [
        'backup',
        backup && `${backup.id} (${backup.what}${backup.alreadyKept ? ', kept already' : ', newly kept'})`,
      ],
      [
        'written',
        answer.sectorsErased === 0
          ? 'nothing: the board held exactly this'
          : `${answer.bytesWritten} bytes, ${answer.sectorsErased} ${answer.sectorsErased === 1 ? 'sector' : 'sectors'} erased`,
      ],
      ['verified', answer.verified ? 'yes, every byte read back' : 'no'],
      ['booted', answer.boot],
      ['version', answer.version],
      ['printer', [answer.printer, answer.printerReason].filter(Boolean).join(': ') || undefined],
      ['time', `${seconds(timings.total)} (${phases(timings)})`],
    ]),
  ];
}

export function passportSummary(answer: PassportAnswer): readonly string[] {
  return [
    `${answer.name}: ${answer.kind} ${answer.version ?? ''}`.trim(),
    ...rows([
      ['for', answer.mcu],
      ['linked at', answer.linkAddress],
      ['talks by', answer.transport],
      ['CAN', answer.canFrequency === null ? undefined : `${answer.canFrequency} bit/s`],
      ['launches', answer.launchAddress],
      ['size', `${answer.sizeBytes} bytes (${answer.format})`],
      ['sha256', answer.sha256],
    ]),
  ];
}

function behind(bootloader: string | null): string {
  return bootloader === null ? '' : ` behind ${bootloader}`;
}

function phases(timings: FlashAnswer['timings']): string {
  return Object.entries(timings)
    .filter(([phase, ms]) => phase !== 'total' && ms >= 50)
    .map(([phase, ms]) => `${phase} ${seconds(ms)}`)
    .join(', ');
}

export function seconds(ms: number | undefined): string {
  return `${((ms ?? 0) / 1000).toFixed(1)} s`;
}
