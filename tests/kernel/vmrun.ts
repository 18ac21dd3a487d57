// By hand: `bin/node tests/kernel/vmrun.ts [--modules a,b] [--udev] [--network] [--can-pair] -- COMMAND...` runs one command in a fresh guest.
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { canPair, Guest } from './guest.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    modules: { type: 'string', default: '' },
    udev: { type: 'boolean', default: false },
    network: { type: 'boolean', default: false },
    'can-pair': { type: 'boolean', default: false },
    'timeout-s': { type: 'string', default: '600' },
  },
});
const guest = await Guest.boot({
  modules: values.modules.split(',').filter((name) => name !== ''),
  udev: values.udev,
  network: values.network,
  devices: values['can-pair'] ? canPair() : [],
});
const outcome = await guest.run(positionals, {
  input: process.stdin.isTTY ? '' : await text(process.stdin),
  timeoutMs: Number(values['timeout-s']) * 1000,
});
process.stdout.write(outcome.bytes);
process.stderr.write(outcome.stderr);
await guest.stop();
process.exitCode = outcome.code;
