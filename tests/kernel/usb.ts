// USB devices of others in the guest: attached over USB/IP, waited for as the kernel shows them.
import { HOST_ADDRESS, type Guest } from './guest.ts';

/**
 * Attaches a device with Debian's own client (module `vhci_hcd`; for a server on the host the guest needs `network`).
 * @returns when the kernel has given the device its configuration.
 */
export async function attachUsbIp(
  guest: Guest,
  { busId, port = 3240, host = HOST_ADDRESS }: { busId: string; port?: number; host?: string },
): Promise<void> {
  const { code, stderr } = await guest.sh(`usbip --tcp-port ${port} attach -r ${host} -b ${busId}`);
  if (code !== 0) throw new Error(`usbip attach ${busId}: ${stderr}`);
}

/** Until so many devices with this id (`0483:df11`) are configured; 0 waits until none is there. */
export async function waitForUsb(guest: Guest, id: string, count = 1, timeoutMs = 30_000): Promise<void> {
  const [vendor, product] = id.split(':');
  const script = `while :; do
    found=0
    for device in /sys/bus/usb/devices/*; do
      [ "$(cat $device/idVendor $device/idProduct 2>/dev/null | tr -d '\\n')" = ${vendor}${product} ] || continue
      [ -n "$(cat $device/bConfigurationValue 2>/dev/null)" ] && found=$((found + 1))
    done
    [ $found -eq ${count} ] && exit
    sleep 0.05
  done`;
  const { timedOut } = await guest.sh(script, { timeoutMs });
  if (timedOut)
    throw new Error(`not within ${timeoutMs} ms: ${count} of ${id}\n${(await guest.run(['lsusb'])).stdout}`);
}
