// What is measured on the way, printed, and kept for docs/performance.md where somebody asks for it (INSTALL_FIGURES names
// a file, JSON lines).
import { appendFileSync } from 'node:fs';
import type { Site } from './site.ts';

export interface Figure {
  readonly release: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

/** @param value milliseconds, if no unit is said. */
export function figure({ release }: Pick<Site, 'release'>, what: string, value: number, unit = 'ms'): void {
  const one: Figure = { release, what, value: Math.round(value * 10) / 10, unit };
  process.stdout.write(`${release}: ${what}: ${one.value} ${unit}\n`);
  const file = process.env['INSTALL_FIGURES'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(one)}\n`);
}
