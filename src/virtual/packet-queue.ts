// Virtual bench, USB: packets that wait on an IN endpoint until the host comes for them.

export class PacketQueue {
  readonly #listeners = new Set<() => void>();
  #packets: Uint8Array[] = [];

  get waiting(): number {
    return this.#packets.length;
  }

  push(packet: Uint8Array): void {
    this.#packets.push(packet);
    for (const listener of this.#listeners) listener();
  }

  take(): Uint8Array | undefined {
    return this.#packets.shift();
  }

  onReady(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  clear(): void {
    this.#packets = [];
  }
}
