// Command line: the phases that each method goes through, for those whose length a bar can show.
import type { Phase } from '../flash/report.ts';

const WRITING = [
  'preflight',
  'stop',
  'enter',
  'backup',
  'erase',
  'write',
  'verify',
  'boot',
  'confirm',
  'printer',
] as const;

export const PHASES_OF: Readonly<Record<string, readonly [Phase, ...Phase[]] | undefined>> = {
  'octopus.flash': WRITING,
  'octopus.restore': WRITING,
  'octopus.backup': ['preflight', 'stop', 'enter', 'backup', 'boot', 'confirm'],
};
