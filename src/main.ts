// Where the program begins: the world is put together (src/compose), then the command line runs in it.
import { runCommandLine } from './cli/program.ts';
import { createWorld } from './compose/world.ts';
import { asOctopusError } from './errors.ts';

// A reader that went away (`| head`) must not end a flash in the middle.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
// Nor must a fault beside the job: it is told, and the job lets go of the board by itself.
process.on('unhandledRejection', (reason) => {
  process.exitCode = 1;
  process.stderr.write(`octopus: ${asOctopusError(reason).message}\n`);
});
const streams = { out: process.stdout, err: process.stderr, env: process.env };
const code = await runCommandLine(process.argv.slice(2), createWorld(), streams);
process.exitCode = Math.max(code, Number(process.exitCode ?? 0));
