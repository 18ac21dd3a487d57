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
        // Told as a rejection that nobody handles: a fault of the program, and no end of it.
        void Promise.reject(error);
      }
    }
  }
}
