// Hardware, packages that must be compiled and so may be missing: the program works without them.
import { textOf } from './system-error.ts';

/** The package's exports, or why it does not load. */
export async function loadOptional(name: 'onoff' | 'socketcan'): Promise<object | string> {
  try {
    const loaded: unknown = await import(name);
    if (typeof loaded === 'object' && loaded !== null) return loaded;
    return `the package ${name} exports nothing`;
  } catch (error) {
    return `the package ${name} does not load (${textOf(error).split('\n')[0] ?? ''})`;
  }
}

/** The cure for both. */
export const REBUILD =
  'Install a compiler (sudo apt install build-essential python3), then run bin/rebuild-native in the folder of octopus-flasher.';
