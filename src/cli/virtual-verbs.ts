// Command line: the virtual boards: which there are, one served to other programs, and one attached to this machine.
import type { Command } from 'commander';
import { OctopusError } from '../errors.ts';
import type { Output } from './output.ts';
import { checkSettings } from './run-method.ts';
import { withSignals } from './signals.ts';
import { rows } from './summaries.ts';
import type { Settings, VirtualServing, World } from './world.ts';

/** USB/IP's own (linux tools/usb/usbip, USBIP_PORT). */
const USBIP_PORT = '3240';
const DEFAULT_BOARD = 'octopus-v1.1-f446';

interface ServeOptions {
  readonly usbip?: string;
  readonly usbredir?: string;
  readonly pty?: string;
  readonly kind?: boolean;
}

export function addVirtualVerbs(
  program: Command,
  world: World,
  output: Output,
  settingsOf: (command: Command) => Settings,
): void {
  const virtual = program
    .command('virtual')
    .description('list the virtual boards')
    .action(() => {
      const boards = world.virtualBoards();
      output.answer({ boards, states: world.virtualStates }, [
        ...boards.map(({ name, title }) => `${name.padEnd(18)} ${title}`),
        ...rows([['--state', world.virtualStates.join(', ')]]),
      ]);
    });
  const run = async (
    settings: Settings,
    asked: Omit<VirtualServing, 'signal' | 'tell'>,
    end: string,
  ): Promise<void> => {
    const stop = new AbortController();
    const tell = (line: string): void => output.say(line);
    await withSignals(
      () => stop.abort(),
      () => world.serveVirtual(settings, { ...asked, signal: stop.signal, tell }),
    );
    output.answer({ ended: true }, [end]);
  };
  virtual
    .command('serve')
    .description('a virtual board for other programs: dfu-util, a Linux kernel, a virtual machine')
    .argument('[board]', `default: ${DEFAULT_BOARD}`)
    .option('--usbip <port>', `USB/IP at this port of this machine, or at the path of a socket`)
    .option('--usbredir <socket>', 'usbredir, as QEMU speaks it, at the path of a socket')
    .option('--kind', 'the kinder reading of what nobody knows of the ROM bootloader')
    .option('--pty <link>', "the board's serial port as a pseudo-terminal that this link points to")
    .action(async (board: string | undefined, options: ServeOptions, command: Command) => {
      const given = settingsOf(command);
      const settings = { ...given, virtual: board ?? given.virtual ?? DEFAULT_BOARD };
      checkSettings(settings, world, true);
      const { usbip, usbredir, pty, kind } = options;
      if (usbip !== undefined && /^\d+$/.test(usbip) && Number(usbip) > 65_535)
        throw new OctopusError('bad-parameter', `there is no port ${usbip}`, {
          place: '--usbip',
          advice: `Ports go up to 65535; that of USB/IP is ${USBIP_PORT}.`,
        });
      const places = {
        ...(usbip === undefined ? {} : { usbip }),
        ...(usbredir === undefined ? {} : { usbredir }),
        ...(pty === undefined ? {} : { pty }),
      };
      const asked = Object.keys(places).length === 0 ? { usbip: USBIP_PORT } : places;
      await run(settings, { ...asked, isKind: kind === true }, 'The virtual board is gone.');
    });
  virtual
    .command('attach')
    .description('keep a served virtual board attached to this machine (root, Linux module vhci-hcd)')
    .argument('[server]', `[HOST:]PORT or the path of a socket (default: ${USBIP_PORT})`)
    .action(async (server: string | undefined, _options, command: Command) => {
      await run(settingsOf(command), { attachTo: server ?? USBIP_PORT }, 'No longer kept attached.');
    });
}
