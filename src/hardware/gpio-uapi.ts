// Hardware, GPIO: the kernel's interface in bytes. All offsets and numbers: Linux include/uapi/linux/gpio.h, v2 of the
// interface (since 5.10); checked by tests/hardware/gpio-uapi.test.ts against what a C compiler makes of that header.

/** _IOR(0xB4, 0x01, struct gpiochip_info) */
export const GET_CHIPINFO = 0x8044_b401;
/** _IOWR(0xB4, 0x05, struct gpio_v2_line_info) */
export const GET_LINEINFO = 0xc100_b405;
/** _IOWR(0xB4, 0x07, struct gpio_v2_line_request) */
export const GET_LINE = 0xc250_b407;
/** _IOWR(0xB4, 0x0D, struct gpio_v2_line_config) */
export const SET_CONFIG = 0xc110_b40d;
/** _IOWR(0xB4, 0x0E, struct gpio_v2_line_values) */
export const GET_VALUES = 0xc010_b40e;

/** enum gpio_v2_line_flag */
const FLAG = {
  used: 1n << 0n,
  input: 1n << 2n,
  output: 1n << 3n,
  openDrain: 1n << 6n,
  openSource: 1n << 7n,
  biasPullDown: 1n << 9n,
  biasDisabled: 1n << 10n,
} as const;
/** enum gpio_v2_line_attr_id */
const ATTRIBUTE = { flags: 1, outputValues: 2 } as const;

const CHIP_INFO_BYTES = 68;
const LINE_INFO_BYTES = 256;
const CONFIG_BYTES = 272;
const REQUEST_BYTES = 592;
const NAME_BYTES = 32; // GPIO_MAX_NAME_SIZE

export type LineState = 'floating' | 'high' | 'low';
/** Of one line in a request: what it may do, and what it does now. */
export type LineConfig =
  | { readonly role: 'boot0'; readonly state: 'floating' | 'high' }
  | { readonly role: 'nrst'; readonly state: 'floating' | 'low' };

/**
 * Floating is an input, never an output that happens not to drive: that holds on chips, too, whose open drain and open
 * source the kernel only imitates. A board without its own pull-down is kept from DFU by BOOT0's; on NRST the pull-down
 * that a Raspberry Pi starts with would work against the board's pull-up.
 */
function flagsOf({ role, state }: LineConfig): bigint {
  if (role === 'boot0')
    return state === 'high' ? FLAG.output | FLAG.openSource : FLAG.input | FLAG.biasPullDown;
  return state === 'low' ? FLAG.output | FLAG.openDrain : FLAG.input | FLAG.biasDisabled;
}

/** struct gpio_v2_line_config: one attribute of flags per line, one of levels for all. */
export function encodeConfig(lines: readonly LineConfig[]): Uint8Array {
  const bytes = new Uint8Array(CONFIG_BYTES);
  const view = new DataView(bytes.buffer);
  // The flags of lines that no attribute names; there are none, but the kernel checks them.
  view.setBigUint64(0, FLAG.input, true);
  view.setUint32(8, lines.length + 1, true); // num_attrs
  const attribute = (index: number, id: number, value: bigint, mask: bigint): void => {
    const at = 32 + index * 24; // attrs[]
    view.setUint32(at, id, true);
    view.setBigUint64(at + 8, value, true);
    view.setBigUint64(at + 16, mask, true);
  };
  let high = 0n;
  for (const [index, line] of lines.entries()) {
    attribute(index, ATTRIBUTE.flags, flagsOf(line), 1n << BigInt(index));
    if (line.state === 'high') high |= 1n << BigInt(index);
  }
  attribute(lines.length, ATTRIBUTE.outputValues, high, (1n << BigInt(lines.length)) - 1n);
  return bytes;
}

/** struct gpio_v2_line_request; the kernel puts the new descriptor into its last field. */
export function encodeRequest(
  offsets: readonly number[],
  consumer: string,
  lines: readonly LineConfig[],
): Uint8Array {
  const bytes = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, offset] of offsets.entries()) view.setUint32(index * 4, offset, true);
  new TextEncoder().encodeInto(consumer, bytes.subarray(256, 256 + NAME_BYTES - 1));
  bytes.set(encodeConfig(lines), 288);
  view.setUint32(560, offsets.length, true); // num_lines
  return bytes;
}

export function requestedFd(request: Uint8Array): number {
  return viewOf(request).getInt32(588, true);
}

export const newChipInfo = (): Uint8Array => new Uint8Array(CHIP_INFO_BYTES);

/** struct gpiochip_info */
export function decodeChipInfo(bytes: Uint8Array): { readonly label: string; readonly lines: number } {
  return { label: textAt(bytes, 32), lines: viewOf(bytes).getUint32(64, true) };
}

/** struct gpio_v2_line_info, to be filled in for the line at `offset`. */
export function newLineInfo(offset: number): Uint8Array {
  const bytes = new Uint8Array(LINE_INFO_BYTES);
  viewOf(bytes).setUint32(64, offset, true);
  return bytes;
}

export interface LineInfo {
  readonly name: string;
  /** Who has requested it, by the label that was given; may be empty. */
  readonly consumer: string;
  readonly isUsed: boolean;
  readonly isOutput: boolean;
}

export function decodeLineInfo(bytes: Uint8Array): LineInfo {
  const flags = viewOf(bytes).getBigUint64(72, true);
  return {
    name: textAt(bytes, 0),
    consumer: textAt(bytes, NAME_BYTES),
    isUsed: (flags & FLAG.used) !== 0n,
    isOutput: (flags & FLAG.output) !== 0n,
  };
}

/** struct gpio_v2_line_values: asks for the first `count` lines. */
export function newValues(count: number): Uint8Array {
  const bytes = new Uint8Array(16);
  viewOf(bytes).setBigUint64(8, (1n << BigInt(count)) - 1n, true);
  return bytes;
}

export function valueAt(values: Uint8Array, index: number): 'high' | 'low' {
  return (viewOf(values).getBigUint64(0, true) & (1n << BigInt(index))) === 0n ? 'low' : 'high';
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textAt(bytes: Uint8Array, at: number): string {
  const field = bytes.subarray(at, at + NAME_BYTES);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}
