// octopus.doctor: is each board the one it is taken for, and is its uuid where printer.cfg has it?
import type { BoardStatus } from '../flash/status.ts';
import type { Finding } from './doctor.ts';

export function identityFindings(name: string, status: BoardStatus): readonly Finding[] {
  return [...strangerFindings(name, status), ...uuidFindings(name, status)];
}

function strangerFindings(name: string, { identity }: BoardStatus): readonly Finding[] {
  const { chipId, strangerOnUsb, busPath } = identity;
  if (strangerOnUsb === null) return [];
  const known =
    chipId === null
      ? 'a board with another chip'
      : `chip ${strangerOnUsb}, but ${name} is known as ${chipId}`;
  return [
    {
      level: 'error',
      about: name,
      evidence: `at USB ${busPath ?? '?'} is ${known}`,
      meaning:
        'Another board is plugged into its port, or the board was replaced. Nothing on record holds for this one.',
      cure: `Put the cables back. If the board was replaced: octopus backup --board ${name} asks it who it is; then its canbus_uuid in printer.cfg.`,
    },
  ];
}

function uuidFindings(name: string, { identity, sectionOfUuid }: BoardStatus): readonly Finding[] {
  const { canUuid, canbusUuid, section, isCanbusUuidRight, chipIdFrom } = identity;
  // The only device that may be it, and printer.cfg says that it is another.
  if (chipIdFrom === 'only-candidate' && sectionOfUuid !== section && sectionOfUuid !== null) return [];
  if (isCanbusUuidRight === false)
    return [
      {
        // Where it is only the one that may be it, this may be another board.
        level: chipIdFrom === 'only-candidate' ? 'warning' : 'error',
        about: name,
        evidence: `[${section}] of printer.cfg has canbus_uuid ${canbusUuid}, this board's is ${canUuid}`,
        meaning: 'Klipper looks for another board than this one.',
        cure: `Write canbus_uuid: ${canUuid} into [${section}], or name its own section (mcu:) in octopus-flasher.conf.`,
      },
    ];
  if (isCanbusUuidRight === true)
    return [
      {
        level: 'ok',
        about: name,
        evidence: `canbus_uuid of [${section}] is this board's`,
        meaning: "It follows from the chip's id.",
        cure: null,
      },
    ];
  if (sectionOfUuid !== null && sectionOfUuid !== section)
    return [
      {
        level: 'warning',
        about: name,
        evidence: `[${sectionOfUuid}] of printer.cfg has this board's canbus_uuid, octopus-flasher.conf says [${section}]`,
        meaning: 'Its version after a flash would be asked of another board.',
        cure: `Write mcu: ${sectionOfUuid} under [board ${name}] in octopus-flasher.conf.`,
      },
    ];
  return [];
}

/** Of boards that are looked at together. */
export function twinFindings(all: readonly BoardStatus[]): readonly Finding[] {
  return all.flatMap(({ board, identity: { chipId, chipIdFrom } }, index) => {
    const twin = all.slice(0, index).find(({ identity }) => identity.chipId === chipId);
    // A guess that fits two boards is no evidence.
    const isGuess = [chipIdFrom, twin?.identity.chipIdFrom].includes('only-candidate');
    if (chipId === null || twin === undefined || isGuess) return [];
    return [
      {
        level: 'error' as const,
        about: board,
        evidence: `${twin.board} and ${board} both have chip ${chipId}`,
        meaning: 'Both names stand for one board: their reset wires, or their pins, lead to the same one.',
        cure: 'Compare boot0_pin and reset_pin in host.conf with the wires, then octopus wiring --test for each.',
      },
    ];
  });
}
