/** Where a virtual console's bytes go, and where they come from. */
export interface ConsoleBackend {
  /** Takes what the guest wrote, byte for byte. */
  output(bytes: Uint8Array): void;
  /** Takes up to `max` bytes that were typed, in order; possibly none. */
  input(max: number): Uint8Array;
}

/** A console that keeps what was written and hands out what it was fed. */
export class ConsoleBuffer implements ConsoleBackend {
  #written: Uint8Array[] = [];
  #typed: number[] = [];

  output(bytes: Uint8Array): void {
    this.#written.push(bytes.slice());
  }

  input(max: number): Uint8Array {
    return Uint8Array.from(this.#typed.splice(0, max));
  }

  /** Types bytes, to be read later. */
  feed(bytes: Uint8Array): void {
    for (const b of bytes) this.#typed.push(b);
  }

  /** Everything written so far. */
  written(): Uint8Array {
    const all = new Uint8Array(this.#written.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#written) {
      all.set(part, at);
      at += part.length;
    }
    this.#written = [all];
    return all.slice();
  }
}
