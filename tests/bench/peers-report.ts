// docs/performance.md out of what `npm run bench:peers` measured: medians, and ratios of medians.
import { cpus } from 'node:os';
import { FINDINGS } from './peers-findings.ts';
import { KIB, RACES, type CourseResult, type RaceResult } from './peers-races.ts';
import type { Sample } from './peers-track.ts';

const PHASES = [
  'preflight',
  'stop',
  'enter',
  'backup',
  'erase',
  'write',
  'verify',
  'boot',
  'confirm',
] as const;

const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(at)] ?? Number.NaN) + (sorted[Math.ceil(at)] ?? Number.NaN)) / 2;
};
const medianOf = (samples: readonly Sample[], figure: (sample: Sample) => number): number =>
  median(samples.map(figure));
const wall = (samples: readonly Sample[]): number => medianOf(samples, ({ wallMs }) => wallMs);
const inDfu = (samples: readonly Sample[]): number => medianOf(samples, ({ inDfuMs }) => inDfuMs);
const phase = (samples: readonly Sample[], name: string): number =>
  medianOf(samples, ({ phases }) => phases[name] ?? 0);

const s = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const ratio = (ours: number, theirs: number): string => (ours / theirs).toFixed(2);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '--:'))), ...rows.map(line)].join(
    '\n',
  );
}

export function report(results: readonly RaceResult[]): string {
  const ran = RACES.flatMap((race) => {
    const result = results.find(({ name }) => name === race.name);
    return result === undefined ? [] : [{ race, result }];
  });
  const [{ result: first } = { result: undefined }] = ran;
  const processors = cpus();
  return `${[
    '# Performance',
    "Written by `npm run bench:peers`; nothing in it is asserted by a test. The virtual board is served to a QEMU guest with Debian's stock kernel, whose USB, GPIO and CDC drivers stand between it and both programs. Our flasher and dfu-util take turns on the same board in the same run of the guest; each figure is a median of its laps.",
    `Machine: ${processors.length} cores (${processors[0]?.model.trim() ?? 'unknown'}), Node ${process.versions.node}. Guest: QEMU without KVM, so every instruction is translated, one emulated processor, Linux ${first?.kernel ?? ''}, ${first?.dfuUtil ?? ''}. There a program that computes is slower than on a Raspberry Pi, and one that sleeps is not: seconds here say little, ratios more.`,
    '## What each column measures',
    DEFINITIONS,
    ...ran.flatMap(({ race, result }) => [
      `## ${race.title}`,
      raceTable(result),
      phaseTable(result),
      `Load of the machine meanwhile: ${result.load.toFixed(1)}.`,
    ]),
    ...loadWarning(ran.map(({ result }) => result)),
    '## Against the targets',
    targets(results),
    '## Where the time goes',
    FINDINGS,
    '## Again',
    AGAIN,
  ].join('\n\n')}\n`;
}

/** Whoever reads figures of a busy machine must know it, and which races are missing. */
function loadWarning(results: readonly RaceResult[]): readonly string[] {
  const lines: string[] = [];
  const cores = cpus().length;
  const busy = results.filter(({ load }) => load > cores);
  if (busy.length > 0)
    lines.push(
      `**Measured on a busy machine**: its load stood above its ${cores} cores while ${busy.map(({ name }) => name).join(', ')} ran. Laps whose GPIO expander did not answer in time were run again. Ours suffers from that and dfu-util, which sleeps, hardly: run it again on an idle machine before a conclusion is drawn from a ratio.`,
    );
  const cut = results.filter(({ firstContact }) => firstContact === undefined);
  if (cut.length > 0)
    lines.push(
      `Cut off before their end, so that their 500 KiB are missing; put together from what they had printed, the load read by hand: ${cut.map(({ name }) => name).join(', ')}.`,
    );
  const missing = RACES.filter(({ name }) => !results.some((result) => result.name === name));
  if (missing.length > 0) lines.push(`Not run this time: ${missing.map(({ title }) => title).join('; ')}.`);
  return lines;
}

const DEFINITIONS = `- **dfu-util**: \`dfu-util -a 0 -s ADDRESS -D FILE\` from its start to its end. It reads nothing back. The board is put into DFU mode by \`gpioset\` before its clock starts, and reset after it has stopped: neither is counted, nor is \`:leave\`.
- **daemon**: \`octopus.flash\` on the socket of a daemon that has flashed before, from the request to the end of the job: gate, reset into the ROM, reading what is there, comparing it with the copies kept, erasing, writing, reading every byte back, reset, the board's answer to \`identify\`.
- **in DFU**: the part of it that dfu-util's time is to be compared with: from the ROM seen (BOOT0 let go) to reset released, read off the virtual board's wires. Reading, comparing and reading back are in it.
- **floor**: the same part in virtual time, where no processor takes any: what the chip, its transfers and our own waits take. What "in DFU" has beyond it is the emulated processor's.
- **process**: \`octopus flash --json\` without a daemon from its start to its end, launcher and start of Node included.
- **requests**: DFU class requests that reached the chip.

Before each lap the flash is given the same old content, so that every lap has the same to do, and after it the flash is compared with the image.`;

const AGAIN = `\`\`\`
npm run bench:peers                                  # all races, about 20 minutes
npm run bench:peers -- --races f446 --laps 5         # one of them: ${RACES.map(({ name }) => name).join(', ')}
npm run bench:peers -- --results ../peers.json        # races one by one: earlier results are kept and written too
\`\`\`

Nothing else should run on the machine meanwhile. The bench needs what \`npm run test:kernel\` needs.`;

function raceTable({ courses, firstContact }: RaceResult): string {
  const rows = courses.map(({ what, daemon, process: whole, dfuUtil, floorMs }) => [
    what,
    s(wall(dfuUtil)),
    s(wall(daemon)),
    ratio(wall(daemon), wall(dfuUtil)),
    s(inDfu(daemon)),
    ratio(inDfu(daemon), wall(dfuUtil)),
    s(floorMs),
    ratio(floorMs, wall(dfuUtil)),
    s(wall(whole)),
    ratio(wall(whole), wall(dfuUtil)),
    `${medianOf(dfuUtil, ({ requests }) => requests)} / ${medianOf(daemon, ({ requests }) => requests)}`,
    String(daemon.length),
  ]);
  if (firstContact !== undefined) {
    const { wallMs, inDfuMs, phases, requests } = firstContact;
    rows.push([
      `46 KiB, first contact: the whole flash is read and kept (${s(phases['backup'] ?? 0)} of it)`,
      ...['-', s(wallMs), '-', s(inDfuMs), '-', '-', '-', '-', '-', `- / ${requests}`, '1'],
    ]);
  }
  return table(
    [
      ...['image', 'dfu-util', 'daemon', 'ratio', 'in DFU', 'ratio', 'floor', 'ratio', 'process', 'ratio'],
      ...['requests, dfu-util / ours', 'laps'],
    ],
    rows,
  );
}

function phaseTable({ courses }: RaceResult): string {
  const rows = courses.flatMap(({ what, daemon, process: whole }) =>
    [['daemon', daemon] as const, ['process', whole] as const].map(([who, samples]) => [
      `${what}, ${who}`,
      ...PHASES.map((name) => s(phase(samples, name))),
      s(wall(samples) - phase(samples, 'total')),
    ]),
  );
  return `Ours by phase, by its own stopwatch; the rest is the start of the process or of the job:\n\n${table(['', ...PHASES, 'the rest'], rows)}`;
}

function targets(results: readonly RaceResult[]): string {
  // From the end where negative.
  const course = (race: string, index: number): CourseResult | undefined =>
    results.find(({ name }) => name === race)?.courses.at(index);
  const rows: string[][] = [];
  const row = (what: string, limit: string, found: string, isMet: boolean): void =>
    void rows.push([what, limit, found, isMet ? 'met' : 'missed']);
  const small = course('f446', 0);
  if (small !== undefined) {
    const whole = wall(small.daemon) / wall(small.dfuUtil);
    const inside = inDfu(small.daemon) / wall(small.dfuUtil);
    const what = '46 KiB on F446, backup kept, read back';
    row(`${what}: daemon, request to answer`, 'at most 0.50', whole.toFixed(2), whole <= 0.5);
    row(`${what}: in DFU, as dfu-util is measured`, 'at most 0.50', inside.toFixed(2), inside <= 0.5);
    const floor = small.floorMs / wall(small.dfuUtil);
    row(`${what}: the same without the emulated processor`, 'at most 0.50', floor.toFixed(2), floor <= 0.5);
  }
  const large = course('f446', 1);
  if (large !== undefined) {
    const times = wall(large.dfuUtil) / wall(large.daemon);
    row('500 KiB on F446, one sector changed: daemon', '5 times faster', times.toFixed(1), times >= 5);
  }
  for (const [race, words] of [
    ['f446-zero', 'ROM announces 104 ms'],
    ['f446-zero-poll', 'ROM announces 0 ms'],
  ] as const) {
    const one = course(race, -1);
    if (one === undefined) continue;
    const perByte = (ms: number): string => `${((ms * 1000) / one.bytes).toFixed(1)} us`;
    const theirs = wall(one.dfuUtil);
    const figures = [
      ['in DFU, all we do there', inDfu(one.daemon)],
      [
        'erase and write, which is what dfu-util does',
        phase(one.daemon, 'erase') + phase(one.daemon, 'write'),
      ],
    ] as const;
    for (const [part, ours] of figures)
      row(
        `no flash time, ${words}, ${one.bytes / KIB} KiB, per byte: ${part}`,
        'at most 0.75',
        `${ratio(ours, theirs)} (${perByte(ours)} to ${perByte(theirs)})`,
        ours / theirs <= 0.75,
      );
  }
  return table(['target', 'limit', 'found', ''], rows);
}
