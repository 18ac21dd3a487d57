// Hardware, who listens: one that throws costs the others nothing.

export class Listeners<T> {
  readonly #all = new Set<(news: T) => void>();

  add(listener: (news: T) => void): () => void {
    // One function may listen twice.
    const own = (news: T): void => listener(news);
    this.#all.add(own);
    return () => void this.#all.delete(own);
  }

  tell(news: T): void {
    for (const listener of this.#all) {
      try {
        listener(news);
      } catch (error) {
        // Told as a fault of the program, and not in the middle of what came from the kernel.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
