// By hand: `bin/node tests/install/vm/shell.ts [--release trixie] [--root] -- COMMAND...` runs each line of shell in a
// fresh printer's host, with the times that it took.
import { parseArgs } from 'node:util';
import { Vm, type Release } from './vm.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { release: { type: 'string', default: 'bookworm' }, root: { type: 'boolean', default: false } },
});
const vm = await Vm.boot({ release: values.release as Release });
process.stdout.write(`up in ${Math.round(vm.bootMs)} ms\n`);
for (const script of positionals) {
  const began = performance.now();
  const outcome = await vm.sh(script, { user: values.root ? 'root' : 'pi', timeoutMs: 600_000 });
  process.stdout.write(
    `$ ${script}\n${outcome.stdout}${outcome.stderr}-> ${outcome.code} in ${Math.round(performance.now() - began)} ms\n`,
  );
}
await vm.stop();
