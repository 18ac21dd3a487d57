// Command line: `octopus support-bundle`: asks what can be asked without touching anything, and packs it with the logs.
import type { Command as Program } from 'commander';
import { asOctopusError } from '../errors.ts';
import type { Method } from '../methods/method.ts';
import { METHODS } from '../methods/table.ts';
import type { Output } from './output.ts';
import { checkSettings, runMethod } from './run-method.ts';
import { rows } from './summaries.ts';
import type { Settings, World } from './world.ts';

export function addSupport(
  program: Program,
  world: World,
  output: Output,
  settingsOf: (command: Program) => Settings,
): void {
  program
    .command('support-bundle')
    .description('logs, history, findings and versions in one file for whoever helps, without secrets')
    .option('--output <file>', 'where to (default: a new file in the home folder)')
    .action(async (options: { output?: string }, command: Program) => {
      const settings = settingsOf(command);
      checkSettings(settings, world, settings.virtual !== undefined);
      const ask = <A extends object>(method: Method<A>): Promise<object> =>
        runMethod({ world, settings, output }, method, {}).catch((thrown: unknown) => ({
          error: asOctopusError(thrown),
        }));
      const answers = {
        doctor: await ask(METHODS.doctor),
        status: await ask(METHODS.status),
        jobs: await ask(METHODS.jobList),
        backups: await ask(METHODS.backups),
        images: await passports(world, settings, output),
      };
      const bundle = await world.supportBundle(settings, answers, options.output);
      output.answer(bundle, [
        `Packed: ${bundle.file}`,
        ...rows([
          ['holds', `${bundle.contents.length} files, ${Math.ceil(bundle.sizeBytes / 1024)} KiB`],
          ['left out', 'firmware, printer.cfg, moonraker.conf; keys, tokens and logins wherever they stood'],
          ['first', 'look through it before you give it away: tar -tzf shows what is in it'],
        ]),
      ]);
    });
}

/** Of the images that the configuration names. */
async function passports(world: World, settings: Settings, output: Output): Promise<object> {
  const book = await world.boards(settings).catch((): undefined => undefined);
  const images = new Set((book?.names ?? []).flatMap((name) => book?.imageOf(name) ?? []));
  const found: Record<string, object> = {};
  for (const image of images)
    found[image] = await runMethod({ world, settings, output }, METHODS.inspect, { image }).catch(
      (thrown: unknown) => ({ error: asOctopusError(thrown) }),
    );
  return found;
}
