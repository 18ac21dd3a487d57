// Contract: the virtual CAN host keeps to it, on an adapter and on the board as a bridge.
import { createBench, type BenchOptions } from '../../src/virtual/bench.ts';
import { VirtualCan } from '../../src/virtual/can-host.ts';
import { CanWire } from '../../src/virtual/can-wire.ts';
import { TIMES } from '../../src/virtual/times.ts';
import { canContract } from './can.ts';

async function virtualRig(options: BenchOptions) {
  const bench = await createBench(options);
  // A second host's worth of hardware for the interface that is down.
  const other = new VirtualCan(
    { clock: bench.clock, times: TIMES.typical, timesName: 'typical', wire: new CanWire(bench.clock) },
    { interfaceName: 'can7', state: 'down' },
    'adapter',
    {
      uuid: '000000000000',
      dictionary: () => undefined,
      requestBootloader: () => {},
      isThere: () => false,
      isOwned: () => false,
    },
  );
  return {
    host: { open: (name: string) => (name === 'can7' ? other : bench.can).open(name) },
    up: 'can0',
    down: 'can7',
    settle: () => bench.clock.sleep(50),
    dispose: async () => bench.dispose(),
  };
}

canContract('virtual, adapter', () => virtualRig({ can: { nodes: [{}] } }));
canContract('virtual, bridge', () => virtualRig({ state: 'bridge', can: { nodes: [{}] } }));
