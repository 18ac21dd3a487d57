// What the fuzz runner is tried on: a target whose input 5 breaks it.
import { Broken, target } from '../target.ts';

export const broken = (how: string) => {
  let checked = 0;
  return target<number>({
    name: `broken:${how}`,
    show: (input) => Uint8Array.of(input),
    input: (random) => random.below(256),
    check: () => {
      if (checked++ !== 5) return 'taken';
      const kept: unknown[] = [];
      if (how === 'wrong') throw new Broken('it is five');
      for (;;) if (how === 'greedy') kept.push(Array.from({ length: 100_000 }, () => ({})));
    },
    fates: ['taken'],
  });
};
