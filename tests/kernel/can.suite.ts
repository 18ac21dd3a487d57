// CAN in the guest: what the stock kernel and can-utils do, then the contract that our adapter keeps on both.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { canPair, Guest } from './guest.ts';
import { testsInGuest } from './guest-tests.ts';

let guest: Guest;
const ok = async (script: string) => {
  const { code, stdout, stderr } = await guest.sh(`set -e\n${script}`);
  expect({ script, code, stderr }).toEqual({ script, code: 0, stderr: '' });
  return stdout;
};

beforeAll(async () => {
  guest = await Guest.boot({ modules: ['vcan', 'can_raw', 'kvaser_pci', 'sch_tbf'], devices: canPair() });
  await ok(`ip link add dev vcan0 type vcan
    ip link set vcan0 up
    ip link add dev vcan7 type vcan
    for name in can0 can1; do
      ip link set $name type can bitrate 500000
      ip link set $name up
    done`);
});
afterAll(async () => guest?.stop());

describe("the kernel's CAN interfaces, by can-utils", () => {
  test.each([
    ['vcan0', 'vcan0'],
    ['can0', 'can1'],
    ['can1', 'can0'],
  ])('%s to %s: in order and whole', async (from, to) => {
    const listener = guest.start(['candump', '-L', '-n', '3', '-T', '20000', to]);
    await guest.sh(
      `until grep -q ' ${to} ' /proc/net/can/rcvlist_all; do sleep 0.02; done
       for frame in 7FF#0102030405060708 001# 123#FF; do cansend ${from} $frame; done`,
    );
    const { stdout } = await listener.ended;
    expect(stdout.match(/\S+#\S*/g)).toEqual(['7FF#0102030405060708', '001#', '123#FF']);
  });

  test('a controller has a bitrate and a queue, vcan has no bitrate', async () => {
    expect(await ok('ip -details link show can0')).toMatch(/qlen 10\b[^]*bitrate 500000/);
    expect((await guest.sh('ip link set vcan7 type can bitrate 500000')).code).not.toBe(0);
    await ok('ip link set can0 txqueuelen 128');
    expect(await ok('cat /sys/class/net/can0/tx_queue_len')).toBe('128\n');
    await ok('ip link set can0 txqueuelen 10');
  });

  test('a full queue, an interface that is down, one that is absent: each has its own words', async () => {
    await ok('tc qdisc add dev can1 root tbf rate 1kbit burst 1600 limit 1600');
    expect((await guest.sh('cangen can1 -g 0 -n 500')).stderr).toContain('No buffer space available');
    await ok('tc qdisc del dev can1 root');
    expect((await guest.sh('cansend vcan7 123#01')).stderr).toContain('Network is down');
    expect((await guest.sh('cansend vcan9 123#01')).stderr).toContain('No such device');
  });
});

test('CanHost on hardware keeps its contract, on vcan and on a controller', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/can.guest.ts')).toBe(24);
});
