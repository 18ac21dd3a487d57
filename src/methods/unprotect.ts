// octopus.unprotect: read protection taken away, and everything on the chip with it. Local only, and only by name.
import { hex, OctopusError } from '../errors.ts';
import { CONFIRMATIONS, type Confirmation } from '../flash/gate.ts';
import { unprotect as carryOut } from '../flash/unprotect.ts';
import { board } from './common-parameters.ts';
import { defineMethod } from './method.ts';
import { choices } from './parameters.ts';

const NAME = 'octopus.unprotect';
const WORD = 'erase_everything';

export const unprotect = defineMethod({
  name: NAME,
  summary: 'take the read protection of the chip away, which erases all of it, bootloader included',
  needs: 'job',
  isLocal: true,
  parameters: {
    board,
    confirm: choices(`${WORD}, and what you have looked at where the printer cannot tell`, 'WHAT', [
      WORD,
      ...CONFIRMATIONS,
    ]),
  },
  /** Before a job is made of it: nothing is touched without the word. */
  async load(_house, values) {
    if (!values.confirm.includes(WORD)) throw notConfirmed(values.board);
  },
  async run({ kit, place }, values, report, signal) {
    const confirm = values.confirm.filter((word): word is Confirmation => word !== WORD);
    const order = { place: place(values.board), confirm };
    const { writeProtected, ...done } = await carryOut(kit, order, report, signal);
    return {
      state: 'done' as const,
      board: values.board,
      ...done,
      /** Sectors that are still write-protected; null where nobody could tell. */
      writeSectors: writeProtected?.map(hex) ?? null,
    };
  },
});

function notConfirmed(name: string): OctopusError {
  return new OctopusError(
    'needs-confirmation',
    `${NAME} erases the whole chip of ${name}, bootloader included, and nothing of it can be kept first: it cannot be read`,
    {
      place: 'confirm',
      advice: `Have a bootloader or firmware for 0x08000000 at hand, then add confirm: ${WORD}.`,
    },
  );
}
