// By hand: `bin/node tests/install/vm/shell.ts [--release trixie] [--root] [--site] -- COMMAND...` runs each line of shell
// in a fresh printer's host, with the times that it took; with --site the clone is there, the board and the network;
// without a COMMAND they are read from standard input.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Site } from './site.ts';
import { Vm, type Release } from './vm.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    release: { type: 'string', default: 'bookworm' },
    root: { type: 'boolean', default: false },
    site: { type: 'boolean', default: false },
  },
});
const began = performance.now();
const ms = (since: number) => Math.round(performance.now() - since);
const site = values.site ? await Site.start(values.release as Release) : undefined;
const vm = site?.vm ?? (await Vm.boot({ release: values.release as Release }));
process.stdout.write(`up in ${Math.round(vm.bootMs)} ms, ready after ${ms(began)} ms\n`);
const lines = positionals.length > 0 ? positionals : createInterface({ input: process.stdin });
for await (const script of lines) {
  const since = performance.now();
  const outcome = await vm.sh(script, { user: values.root ? 'root' : 'pi', timeoutMs: 400_000 });
  process.stdout.write(
    `$ ${script}\n${outcome.stdout}${outcome.stderr}-> ${outcome.code} in ${ms(since)} ms\n`,
  );
}
await (site ?? vm).stop();
