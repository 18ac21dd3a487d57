// The fuzz targets by name; each is loaded where it is run.
import type { Target } from './target.ts';

const TARGETS: Readonly<Record<string, () => Promise<Target>>> = {
  katapult: async () => (await import('./targets/katapult.ts')).katapult,
  'katapult-talk': async () => (await import('./targets/katapult-talk.ts')).katapultTalk,
  'dfu-descriptors': async () => (await import('./targets/dfu-descriptors.ts')).dfuDescriptors,
  'dfu-talk': async () => (await import('./targets/dfu-talk.ts')).dfuTalk,
  dictionary: async () => (await import('./targets/dictionary.ts')).dictionary,
  image: async () => (await import('./targets/image.ts')).image,
  'intel-hex': async () => (await import('./targets/intel-hex.ts')).intelHexFiles,
  configuration: async () => (await import('./targets/configuration.ts')).configuration,
  'host-conf': async () => (await import('./targets/host-conf.ts')).hostConf,
  'printer-cfg': async () => (await import('./targets/printer-cfg.ts')).printerCfg,
  kconfig: async () => (await import('./targets/kconfig.ts')).kconfig,
  identify: async () => (await import('./targets/identify.ts')).identifyTalk,
  'can-admin': async () => (await import('./targets/can-admin.ts')).canAdmin,
  moonraker: async () => (await import('./targets/moonraker.ts')).moonraker,
  'moonraker-status': async () => (await import('./targets/moonraker-status.ts')).moonrakerStatus,
  'local-socket': async () => (await import('./targets/local-socket.ts')).localSocket,
  repair: async () => (await import('./targets/repair.ts')).repairFiles,
  records: async () => (await import('./targets/records.ts')).records,
};

export const targetNames: readonly string[] = Object.keys(TARGETS);

export async function loadTarget(name: string): Promise<Target> {
  const [, how] = /^broken:(.*)$/.exec(name) ?? [];
  if (how !== undefined) return (await import('./targets/broken.ts')).broken(how);
  const load = TARGETS[name];
  if (load === undefined) throw new RangeError(`there is no fuzz target ${name}`);
  return load();
}
