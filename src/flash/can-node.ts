import type { ByteChannel } from '../ports/bytes.ts';
import type { Kit } from './kit.ts';
import type { CanPlace } from './place.ts';
export async function enterKatapultOnCan(_kit: Pick<Kit, 'can' | 'clock'>, _n: CanPlace, _s?: AbortSignal): Promise<{ channel: ByteChannel; ranBefore: boolean }> { throw new Error('later'); }
export async function askVersionOnCan(_kit: Pick<Kit, 'can' | 'clock'>, _n: CanPlace): Promise<string> { throw new Error('later'); }
