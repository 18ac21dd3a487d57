// Methods: the phases that each goes through, for those whose length a bar can show.
import { PHASES, type Phase } from '../flash/report.ts';

export const PHASES_OF: Readonly<Record<string, readonly [Phase, ...Phase[]] | undefined>> = {
  'octopus.flash': PHASES,
  'octopus.restore': PHASES,
  'octopus.backup': ['preflight', 'stop', 'enter', 'backup', 'boot', 'confirm'],
  'octopus.inspect': ['preflight', 'stop', 'enter', 'look', 'boot', 'confirm'],
  'octopus.unprotect': ['preflight', 'stop', 'enter', 'look', 'erase', 'verify', 'boot', 'confirm'],
};
