// Klipper and its service behind the fake Moonraker: what Moonraker tells of them, and how late.
import type { VirtualClock } from '../../src/virtual/clock.ts';
import { RpcError, type FakeMoonraker } from './fake-moonraker.ts';

export class FakeKlipper {
  unit = 'klipper';
  active = 'active';
  sub = 'running';
  state = 'ready';
  stateMessage = 'Printer is ready';
  isConnected = true;
  /** printer.* is registered by the first connection of Klipper only. */
  wasEverConnected = true;
  /** Moonraker tells of changes by notify_service_state_changed; else it must be asked. */
  isTelling = true;
  /** From the answer to the end of the process, and from the start to the state that follows. */
  stopMs = 2000;
  startMs = 1600;
  /** What Klipper says once it has started. */
  nextState = 'ready';
  /** Moonraker's answer to machine.services.*, if it refuses. */
  refusal: RpcError | undefined;
  readonly asked: string[] = [];
  objects: Record<string, Record<string, unknown>> = {
    heaters: { available_heaters: ['extruder', 'heater_bed'] },
    extruder: { target: 0, temperature: 24.1 },
    heater_bed: { target: 0, temperature: 23.8 },
    print_stats: { state: 'standby' },
    idle_timeout: { state: 'Idle' },
    pause_resume: { is_paused: false },
    virtual_sdcard: { is_active: false },
    toolhead: { homed_axes: '' },
    mcu: { mcu_version: 'v0.12.0-1' },
    'mcu ebb': { mcu_version: 'v0.12.0-2' },
  };
  /** Moonraker's power devices and how they stand; undefined: there is no [power] section. */
  power: Record<string, string> | undefined;
  /** From the command to the device's own new state; the answer comes at once, with the old one. */
  powerMs = 0;
  /** Moonraker's answer to post_device, if it refuses. */
  powerRefusal: RpcError | undefined;
  store: Record<string, { temperatures: (number | null)[]; targets?: number[] }> = {};
  readonly #clock: VirtualClock;
  readonly #moonraker: FakeMoonraker;

  constructor(clock: VirtualClock, moonraker: FakeMoonraker) {
    this.#clock = clock;
    this.#moonraker = moonraker;
    const { answers } = moonraker;
    answers.set('server.info', () => ({
      klippy_connected: this.isConnected,
      klippy_state: this.isConnected ? this.state : 'disconnected',
    }));
    answers.set('machine.system_info', () => ({
      system_info: {
        instance_ids: { moonraker: 'moonraker', klipper: this.unit },
        service_state: { [this.unit]: { active_state: this.active, sub_state: this.sub } },
      },
    }));
    answers.set('machine.services.stop', ({ service }) => this.#service('stop', service));
    answers.set('machine.services.start', ({ service }) => this.#service('start', service));
    answers.set('printer.info', () => {
      this.#mustBeThere();
      return { state: this.state, state_message: this.stateMessage };
    });
    answers.set('printer.objects.query', ({ objects }) => {
      this.#mustBeThere();
      const known: Record<string, unknown> = { webhooks: { state: this.state }, ...this.objects };
      return {
        eventtime: 1,
        status: Object.fromEntries(Object.keys(objects).map((name) => [name, known[name] ?? {}])),
      };
    });
    answers.set('server.temperature_store', () => this.store);
    answers.set('machine.device_power.devices', () => ({
      devices: Object.entries(this.#devices()).map(([device, status]) => ({ device, status, type: 'gpio' })),
    }));
    answers.set('machine.device_power.get_device', ({ device }) => ({ [device]: this.#devices()[device] }));
    answers.set('machine.device_power.post_device', ({ device, action }) => {
      const devices = this.#devices();
      this.asked.push(`power ${device} ${action}`);
      if (this.powerRefusal !== undefined) throw this.powerRefusal;
      void this.#switch(device, action);
      return { [device]: devices[device] };
    });
  }

  /** Anybody starts it: the service runs, Klipper connects and reaches its next state. */
  async start(): Promise<void> {
    this.change('active', 'running');
    await this.#clock.sleep(250);
    [this.isConnected, this.wasEverConnected, this.state] = [true, true, 'startup'];
    await this.#clock.sleep(this.startMs);
    this.state = this.nextState;
    // There is no event for a start that ends in the error state.
    if (this.state === 'ready') this.#notify('notify_klippy_ready');
  }

  change(active: string, sub: string): void {
    [this.active, this.sub] = [active, sub];
    if (this.isTelling)
      this.#notify('notify_service_state_changed', { [this.unit]: { active_state: active, sub_state: sub } });
  }

  async #stop(): Promise<void> {
    this.change('deactivating', 'stop-sigterm');
    await this.#clock.sleep(this.stopMs);
    this.isConnected = false;
    this.#notify('notify_klippy_disconnected');
    this.change('inactive', 'dead');
  }

  #service(action: 'stop' | 'start', service: unknown): string {
    this.asked.push(`${action} ${String(service)}`);
    if (this.refusal !== undefined) throw this.refusal;
    if (service !== this.unit) throw new RpcError(400, `Service '${String(service)}' not allowed`);
    if (action === 'stop' && this.active === 'active') void this.#stop();
    if (action === 'start' && this.active !== 'active') void this.start();
    return 'ok';
  }

  /** Without [power] Moonraker does not load the component. */
  #devices(): Record<string, string> {
    if (this.power === undefined) throw new RpcError(-32601, 'Method not found');
    return this.power;
  }

  async #switch(device: string, action: string): Promise<void> {
    if (this.powerMs > 0) await this.#clock.sleep(this.powerMs);
    this.#devices()[device] = action;
    if (this.isTelling) this.#notify('notify_power_changed', { device, status: action });
  }

  #mustBeThere(): void {
    if (!this.wasEverConnected) throw new RpcError(-32601, 'Method not found');
    if (!this.isConnected) throw new RpcError(503, 'Klippy Host not connected');
  }

  #notify(method: string, ...params: unknown[]): void {
    if (this.#moonraker.connections.some(({ isOpen }) => isOpen)) this.#moonraker.notify(method, ...params);
  }
}
