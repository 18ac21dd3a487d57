// Copies on a rig's disk, and what is put back from them.
import { keepBackup, type BackupFacts } from '../../src/flash/backup.ts';
import type { FlashEvent, FlashResult } from '../../src/flash/report.ts';
import { restore, type RestoreOrder } from '../../src/flash/restore.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import type { TestBench } from './bench.ts';

const CONFIRM = ['cold', 'still'] as const;

export const boardOf = ({ place }: TestBench) => place.board.name;
export const backUp = ({ kit, place }: TestBench) => takeBackup(kit, { place, confirm: CONFIRM }, () => {});

/** Puts back; the result has everything that was told on the way. */
export async function putBack(
  { kit, place }: Pick<TestBench, 'kit'> & { readonly place: RestoreOrder['place'] },
  backup: RestoreOrder['backup'],
  order: Partial<RestoreOrder> = {},
): Promise<FlashResult & { readonly plan: string }> {
  let plan = '';
  const listen = (event: FlashEvent) => {
    if (event.kind === 'plan') plan = event.text;
  };
  const result = await restore(kit, { place, backup, confirm: CONFIRM, ...order }, listen);
  return { ...result, plan };
}

/** Keeps bytes as a copy of this board, as an earlier job would have. */
export async function keepBytes(
  { kit, place: { board } }: TestBench,
  address: number,
  bytes: Uint8Array,
  facts: Partial<BackupFacts> = {},
): Promise<string> {
  const { id } = await keepBackup(
    kit,
    {
      board: board.name,
      what: 'region',
      address,
      chipUid: null,
      mcu: board.mcu.name,
      busPath: '1-1',
      bootloader: null,
      application: null,
      ...facts,
    },
    bytes,
  );
  return id;
}
