// Which moments are tried. Complete: every one, but for runs of alike transfers on wires on which each 64 bytes are a message
// of their own: of those the first, the last, those beside something else, and a stride between them that meets each part of
// a message. Sampled: of all that are alike, one; which one is another in every cell.
import type { Moment } from './timeline.ts';

export const LEVELS = ['every', 'complete', 'sample'] as const;
export type Level = (typeof LEVELS)[number];

/** More alike moments than this are a run. */
const RUN = 48;
const EDGE = 3;

export interface Choice {
  readonly level: Level;
  /** Of a run, in the complete matrix, beside its edges. */
  readonly mostOfRun: number;
  /** The number of the cell, so that no two cells meet the same moments. */
  readonly turn: number;
}

/** @param moments of one cell: those that its fault can meet */
export function choose(moments: readonly Moment[], { level, mostOfRun, turn }: Choice): readonly Moment[] {
  if (level === 'every') return moments;
  const alike = Map.groupBy(moments, ({ wire, what }) => `${wire} ${what}`);
  const groups = [...alike.values()];
  if (level === 'sample') {
    return groups.flatMap((group, index) => {
      // Each kind in every second cell of a row.
      if (group.length === 0 || (index + turn) % 2 === 1) return [];
      return [group[(turn * 7 + index * 3) % group.length] ?? []].flat();
    });
  }
  const isRun = new Set(groups.filter(({ length }) => length > RUN && length > mostOfRun).flat());
  const chosen = new Set(moments.filter((moment) => !isRun.has(moment)));
  for (const group of groups) {
    if (!isRun.has(group[0] as Moment)) continue;
    for (const moment of [...group.slice(0, EDGE), ...group.slice(-EDGE)]) chosen.add(moment);
    const stride = group.length / mostOfRun;
    for (let at = (turn % 12) / 12; at < mostOfRun; at++) {
      const moment = group[Math.floor(at * stride)];
      if (moment !== undefined) chosen.add(moment);
    }
  }
  moments.forEach((moment, index) => {
    const beside = [moments[index - 1], moments[index + 1]];
    if (beside.some((other) => other !== undefined && !isRun.has(other))) chosen.add(moment);
  });
  return moments.filter((moment) => chosen.has(moment));
}
