// Command line: what lies on a chip, as a map that can be read from top to bottom.
import type { AnswerOf, METHODS } from '../methods/table.ts';
import type { ChipAnswer, ProgramAnswer } from '../methods/chip-answer.ts';
import { passportSummary, rows } from './summaries.ts';

export function inspectSummary(answer: AnswerOf<typeof METHODS.inspect>): readonly string[] {
  return 'board' in answer ? chipSummary(answer) : passportSummary(answer);
}

function chipSummary(answer: ChipAnswer): readonly string[] {
  const { board, bootloader, application, chip, protection, free, deadJob } = answer;
  return [
    headline(answer),
    ...rows([
      ['bootloader', bootloader === null ? bootloaderMissing(answer) : programWords(bootloader)],
      ['firmware', application === null ? firmwareMissing(answer) : programWords(application)],
      ['last flash', writtenWords(answer.lastFlash, 'something else')],
      ['unfinished', writtenWords(answer.unfinished, 'not all of that')],
      [
        'interrupted',
        deadJob && `${deadJob.method} of ${deadJob.startedAt} died: octopus repair --board ${board}`,
      ],
      ['protection', protectionWords(protection)],
      [
        'chip',
        `${chip.mcu}, ${kib(chip.flashSizeBytes)}, ${chip.id === null ? 'id not told' : `id ${chip.id}`}`,
      ],
      ['read by', `${answer.through === 'rom' ? 'its ROM' : 'Katapult'} at ${answer.busPath}`],
      ['free', `${free.sectors.length} blank sectors, ${kib(free.bytes)}`],
      [
        'not read',
        answer.unreadBytes === 0
          ? undefined
          : `${kib(answer.unreadBytes)}: Katapult reads 64 bytes at a time, and only the application was looked at`,
      ],
    ]),
    ...answer.map.map((region) => mapLine(region, answer)),
  ];
}

function headline({ board, bootloader, application, protection }: ChipAnswer): string {
  if (protection.read) return `${board} is read-protected: nothing on its chip can be read.`;
  const behind = bootloader === null ? '' : ` behind ${nameOf(bootloader)}`;
  if (application === null) return `${board} has no firmware${behind}.`;
  const state = STATE_WORDS[application.integrity];
  return `${board} has ${nameOf(application)}${state}${behind}.`;
}

const STATE_WORDS: Readonly<Record<ProgramAnswer['integrity'], string>> = {
  whole: '',
  'half-written': ', half-written,',
  damaged: ', damaged,',
  unproven: '',
};

function bootloaderMissing({ application, protection }: ChipAnswer): string {
  if (protection.read) return 'cannot be read';
  if (application !== null && application.address === '0x08000000')
    return 'none: the firmware starts by itself';
  return "none: nothing lies at the flash's start";
}

function firmwareMissing({ protection }: ChipAnswer): string {
  return protection.read ? 'cannot be read' : 'none begins where one would be started';
}

function programWords(program: ProgramAnswer): string {
  const { integrity, why, transport, canFrequency, address, linkAddress, launchAddress, sizeBytes } = program;
  const parts = [
    nameOf(program),
    `at ${address}`,
    linkAddress !== null && linkAddress !== address ? `linked for ${linkAddress}` : undefined,
    sizeBytes === null ? undefined : `${sizeBytes} bytes`,
    transport === null ? undefined : TRANSPORT_WORDS[transport],
    canFrequency === null ? undefined : `${canFrequency} bit/s`,
    launchAddress === null ? undefined : `launches ${launchAddress}`,
    why === null ? integrity : `${integrity}: ${why}`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

const TRANSPORT_WORDS = {
  usb: 'talks USB',
  bridge: 'USB to CAN bridge',
  can: 'talks CAN',
  serial: 'talks over a UART',
} as const;

const NAMES: Readonly<Record<ProgramAnswer['kind'], string>> = {
  klipper: 'Klipper',
  katapult: 'Katapult',
  'katapult-deployer': 'a Katapult deployer',
  'stock-bootloader': 'the stock bootloader',
  unknown: 'something unknown',
};

function nameOf({ kind, version }: Pick<ProgramAnswer, 'kind' | 'version'>): string {
  return version === null ? NAMES[kind] : `${NAMES[kind]} ${version}`;
}

function writtenWords(written: ChipAnswer['lastFlash'], otherwise: string): string | undefined {
  if (written === null) return undefined;
  const { kind, version, date, isThere } = written;
  const there = {
    true: 'exactly that lies there',
    false: `${otherwise} lies there`,
    null: 'it cannot be told whether that lies there',
  };
  return `${[kind, version].filter((word) => word !== null).join(' ')} of ${date}: ${there[`${isThere}`]}`;
}

function protectionWords({ read, writeSectors }: ChipAnswer['protection']): string {
  if (read) return 'read-protected; octopus unprotect takes it away, and everything on the chip with it';
  if (writeSectors === null) return 'can be read; of write protection the chip does not tell';
  return writeSectors.length === 0 ? 'none' : `write-protected: ${writeSectors.join(', ')}`;
}

const HOLDS_WORDS = {
  bootloader: 'bootloader',
  application: 'firmware',
  data: 'something else',
  blank: 'blank',
  unread: 'not read',
  unreadable: 'cannot be read',
} as const;

function mapLine({ address, end, sizeBytes, holds }: ChipAnswer['map'][number], answer: ChipAnswer): string {
  const program =
    holds === 'bootloader' ? answer.bootloader : holds === 'application' ? answer.application : null;
  const what = program === null ? HOLDS_WORDS[holds] : `${HOLDS_WORDS[holds]}: ${nameOf(program)}`;
  return `  ${address}..${end} ${kib(sizeBytes).padStart(10)}  ${what}`;
}

function kib(bytes: number): string {
  return bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${(bytes / 1024).toFixed(1)} KiB`;
}

export function unprotectSummary(answer: AnswerOf<typeof METHODS.unprotect>): readonly string[] {
  const { board, isBlank, writeSectors, backup } = answer;
  return [
    isBlank === true
      ? `${board} is no longer read-protected, and blank from end to end.`
      : `${board} was told to erase itself; whether it is blank nobody has looked.`,
    ...rows([
      ['now', 'nothing starts. Flash what belongs at 0x08000000: Katapult or a bare Klipper'],
      ['or', `octopus restore --board ${board} --file BOOTLOADER.hex: the bootloader of the board's maker`],
      [
        'or',
        backup &&
          `octopus restore --board ${board} ${backup.id}: the whole flash as it was on ${backup.date}`,
      ],
      ['still', writeSectors?.length ? `write-protected: ${writeSectors.join(', ')}` : undefined],
    ]),
  ];
}
