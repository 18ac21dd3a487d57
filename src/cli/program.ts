// Command line: verbs and options out of the table of methods, and the exit code at the end.
import { Command, CommanderError, Option } from 'commander';
import { EXIT_CODE, OctopusError, asOctopusError } from '../errors.ts';
import type { Parameter } from '../methods/parameters.ts';
import { addHostVerbs } from './host-verbs.ts';
import { Output } from './output.ts';
import type { Given } from './command.ts';
import { checkSettings, runDetached, runMethod } from './run-method.ts';
import { VERBS, type Verb } from './verbs.ts';
import type { Settings, Streams, World } from './world.ts';

/** As many as a real bus may have before its wires are the trouble. */
const MOST_NODES = 32;

/**
 * @param args without the program's own name
 * @returns the exit code: design, "Errors"
 */
export async function runCommandLine(
  args: readonly string[],
  world: World,
  streams: Streams,
): Promise<number> {
  // Wrong usage is found before the options are known; who asked for JSON gets JSON then, too.
  const output = new Output(streams, args.includes('--json'));
  const verbose = args.includes('--verbose');
  try {
    let code = 0;
    const program = buildProgram(world, output, (own) => (code = own));
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.code === 'commander.helpDisplayed' || thrown.code === 'commander.version') return 0;
      // Without a verb commander has printed the help already.
      if (thrown.code === 'commander.help' && !output.json) return EXIT_CODE.usage;
    }
    const error = thrown instanceof CommanderError ? usageError(thrown) : asOctopusError(thrown);
    world.log(verbose).error({ err: error, cause: error.cause }, error.message);
    return output.fail(error);
  }
}

function buildProgram(world: World, output: Output, endWith: (code: number) => void): Command {
  const program = new Command('octopus')
    .description(
      'Flashes BIGTREETECH Octopus boards over BOOT0 and reset, and never leaves one without firmware.',
    )
    .version(world.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void output.streams.out.write(text),
      writeErr: (text) => void output.streams.err.write(text),
      outputError: () => {},
    })
    .configureHelp({ showGlobalOptions: true })
    .option('--board <name>', 'the board to work on')
    .option('--virtual <board>', 'a virtual board instead of hardware: see octopus virtual')
    .addOption(new Option('--state <state>', 'what the virtual board holds').argParser(String))
    .option('--virtual-dir <dir>', 'keep the virtual board and its backups there between commands')
    .option('--nodes <count>', 'so many toolheads on the CAN bus of the virtual board, 1 to 32')
    .option('--fast', 'virtual time: seconds pass in milliseconds')
    .option('--worst', 'the slowest times that the data sheets allow')
    .option('--data <dir>', 'where backups, journal and history lie')
    .option('--printer-data <dir>', "Klipper's and Moonraker's folder (default: ~/printer_data)")
    .option('--json', 'one line on stdout at the end: an object')
    .option('--verbose', 'every event, line change and transfer as JSON lines on stderr');
  for (const verb of VERBS) addVerb(program, world, output, verb);
  addHostVerbs(program, world, output, settingsOf, endWith);
  return program;
}

function addVerb(program: Command, world: World, output: Output, { name: verb, method, tell }: Verb): void {
  const command = program.command(verb).description(method.summary);
  const parameters = Object.entries(method.parameters).filter(([name]) => name !== 'board');
  for (const [name, parameter] of parameters) {
    if (parameter.form === 'operand')
      command.argument('fallback' in parameter ? `[${name}]` : `<${name}>`, parameter.help);
    else command.addOption(optionOf(name, parameter));
  }
  // What comes by --detach counts as remote.
  if (method.needs === 'job' && !method.isLocal)
    command.option('--detach', 'hand the job to the daemon as the printer would, and return at once');
  command.action(async () => {
    const settings = settingsOf(command);
    checkSettings(settings, world, settings.virtual !== undefined);
    const given = givenTo(command, parameters);
    if (command.getOptionValue('detach') === true) {
      const job = await runDetached({ world, settings, output }, method, given);
      output.answer({ job }, [`Octopus: job ${job} has begun; its end is told when Klipper is back.`]);
      return;
    }
    const { answer, summary } = await tell((one) => runMethod({ world, settings, output }, one, given));
    output.answer(answer, summary);
  });
}

const dashed = (name: string) => name.replaceAll('_', '-');

function optionOf(name: string, parameter: Parameter<unknown>): Option {
  const { form, help, fallback, metavar } = parameter;
  const long = `--${fallback === true ? 'no-' : ''}${dashed(name)}`;
  if (form === 'flag') return new Option(long, help);
  const option = new Option(
    `${long} <${metavar}>`,
    form === 'list' ? `${help} (${parameter.allowed})` : help,
  );
  // Given twice: a list grows, of anything else the last one counts.
  return option.argParser((value: string, before: string | undefined) =>
    form === 'list' && before !== undefined ? `${before},${value}` : value,
  );
}

/** What the user gave, by the names of the method; defaults are the method's business. */
function givenTo(command: Command, parameters: readonly (readonly [string, Parameter<unknown>])[]): Given {
  const operands = [...command.args];
  const given: Record<string, unknown> = {};
  for (const [name, { form }] of parameters) {
    if (form === 'operand') given[name] = operands.shift();
    const attribute = name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (command.getOptionValueSource(attribute) === 'cli') given[name] = command.getOptionValue(attribute);
  }
  return given;
}

function settingsOf(command: Command): Settings {
  const options: Record<string, string | true | undefined> = command.optsWithGlobals();
  const text = (name: string) => {
    const value = options[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    board: text('board'),
    virtual: text('virtual'),
    state: text('state'),
    virtualDir: text('virtualDir'),
    fast: options.fast === true,
    worst: options.worst === true,
    nodes: nodesOf(text('nodes')),
    data: text('data'),
    printerData: text('printerData'),
    json: options.json === true,
    verbose: options.verbose === true,
  };
}

/** Throws `bad-parameter`. */
function nodesOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (/^\d{1,2}$/.test(given) && Number(given) >= 1 && Number(given) <= MOST_NODES) return Number(given);
  throw new OctopusError('bad-parameter', `there is no virtual bus with "${given}" toolheads`, {
    place: '--nodes',
    advice: `Allowed: 1 to ${MOST_NODES}.`,
  });
}

/** Commander's complaint as one of ours; its suggestion is the cure. */
function usageError(error: CommanderError): OctopusError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = rest.join(' ').replaceAll(/^\(|\)$/g, '');
  const place = /'([^']+)'/.exec(first)?.[1]?.split(/[ ,]/)[0];
  return new OctopusError(
    error.code === 'commander.unknownOption' ? 'unknown-parameter' : 'bad-parameter',
    error.code === 'commander.help' ? 'no verb given' : first,
    {
      ...(place === undefined ? {} : { place }),
      advice: `${suggestion === '' ? '' : `${suggestion} `}See octopus --help and octopus VERB --help.`,
    },
  );
}
