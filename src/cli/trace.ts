// Command line: --verbose: every control transfer, USB change and line change into the log.
import type { JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import type { UsbDfuDevice } from '../ports/usb.ts';

export function traced(kit: JobKit, log: Logger): JobKit {
  if (!log.isLevelEnabled('trace')) return kit;
  const { usb, gpio } = kit;
  const at = () => Math.round(kit.clock.now());
  return {
    ...kit,
    usb: {
      list: () => usb.list(),
      onChange: (listener) =>
        usb.onChange((change) => {
          log.trace({ at: at(), ...change }, 'usb');
          listener(change);
        }),
      openDfu: async (info) => tracedDevice(await usb.openDfu(info), log, at),
    },
    gpio: {
      open: async (pins) => {
        const lines = await gpio.open(pins);
        return {
          set: async (levels) => {
            log.trace({ at: at(), levels }, 'lines');
            await lines.set(levels);
          },
          read: () => lines.read(),
          close: () => lines.close(),
        };
      },
    },
  };
}

function tracedDevice(device: UsbDfuDevice, log: Logger, at: () => number): UsbDfuDevice {
  return {
    info: device.info,
    controlOut: async (setup, data, timeoutMs) => {
      const answer = await device.controlOut(setup, data, timeoutMs);
      log.trace({ at: at(), setup, bytes: data.length, answer }, 'control out');
      return answer;
    },
    controlIn: async (setup, length, timeoutMs) => {
      const answer = await device.controlIn(setup, length, timeoutMs);
      const told = typeof answer === 'string' ? answer : Buffer.from(answer.subarray(0, 16)).toString('hex');
      log.trace({ at: at(), setup, length, answer: told }, 'control in');
      return answer;
    },
    close: () => device.close(),
  };
}
