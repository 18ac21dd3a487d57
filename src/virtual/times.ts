// Virtual bench, time: what the board and the host's USB stack need, as recorded from real ones.

export type TimesName = 'typical' | 'worst' | 'zero';

export interface BenchTimes {
  /** Reset released to the ROM's USB pull-up: 74 to 400 ms (AN2606; td-p/55039). */
  readonly romStartMs: number;
  /** Klipper started to its pull-up: disconnect to "new" 229 ms (F401) to 310 ms (real-silicon.md section 6). */
  readonly klipperStartMs: number;
  /** Katapult started to its pull-up. UNPROVEN: taken like Klipper's; Katapult to Klipper took 294 ms in all. */
  readonly katapultStartMs: number;
  /** Stock bootloader started to its jump. UNPROVEN: it looks for an SD card first, nobody wrote down how long. */
  readonly stockBootloaderMs: number;
  /** Host: "new full-speed device" to "found": 110 to 201 ms. */
  readonly enumerateMs: number;
  /** Pull-up gone to "disconnect" in the kernel. UNPROVEN: behind a hub up to its 256 ms interrupt interval. */
  readonly noticeLeftMs: number;
  /** "found" to a tty: 4 to 7 ms. */
  readonly ttyMs: number;
  /**
   * "found" until udev has set the permissions; opening before ends in LIBUSB_ERROR_ACCESS. UNPROVEN figure;
   * the first dfu-util run after a reconnect often sees no device and the second works.
   */
  readonly udevMs: number;
  /** The host's share of a control transfer: scheduling until the next frame. What hosts saw per byte is the chip's. */
  readonly transferMs: number;
  /** systemd stopping klipper.service until it is seen stopped; starting it. */
  readonly serviceStopMs: number;
  readonly serviceStartMs: number;
  /** Klippy start to "ready": 2 to 3 s. */
  readonly klippyReadyMs: number;
}

export const TIMES: Readonly<Record<TimesName, BenchTimes>> = {
  typical: {
    romStartMs: 100,
    klipperStartMs: 229,
    katapultStartMs: 229,
    stockBootloaderMs: 400,
    enumerateMs: 130,
    noticeLeftMs: 20,
    ttyMs: 5,
    udevMs: 20,
    transferMs: 0.3,
    serviceStopMs: 400,
    serviceStartMs: 300,
    klippyReadyMs: 2500,
  },
  worst: {
    romStartMs: 400,
    klipperStartMs: 310,
    katapultStartMs: 310,
    stockBootloaderMs: 2500,
    enumerateMs: 201,
    noticeLeftMs: 256,
    ttyMs: 7,
    udevMs: 300,
    transferMs: 1,
    serviceStopMs: 5000,
    serviceStartMs: 1500,
    klippyReadyMs: 8000,
  },
  zero: {
    romStartMs: 0,
    klipperStartMs: 0,
    katapultStartMs: 0,
    stockBootloaderMs: 0,
    enumerateMs: 0,
    noticeLeftMs: 0,
    ttyMs: 0,
    udevMs: 0,
    transferMs: 0,
    serviceStopMs: 0,
    serviceStartMs: 0,
    klippyReadyMs: 0,
  },
};
