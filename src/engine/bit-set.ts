/** A set of small numbers, for data flow over the registers of one region. */
export class BitSet {
  readonly #words: Uint32Array;

  constructor(capacity: number) {
    this.#words = new Uint32Array((capacity + 31) >>> 5);
  }

  has(n: number): boolean {
    return (((this.#words[n >>> 5] as number) >>> (n & 31)) & 1) !== 0;
  }

  add(n: number): void {
    this.#words[n >>> 5] = (this.#words[n >>> 5] as number) | (1 << (n & 31));
  }

  /** Adds all of `other`; returns whether that changed anything. */
  addAll(other: BitSet): boolean {
    let changed = false;
    for (let i = 0; i < this.#words.length; i++) {
      const before = this.#words[i] as number;
      const after = (before | (other.#words[i] as number)) >>> 0;
      if (after !== before) {
        this.#words[i] = after;
        changed = true;
      }
    }
    return changed;
  }

  /** Adds what is in `other` but not in `except`; returns whether that changed anything. */
  addDifference(other: BitSet, except: BitSet): boolean {
    let changed = false;
    for (let i = 0; i < this.#words.length; i++) {
      const before = this.#words[i] as number;
      const after = (before | ((other.#words[i] as number) & ~(except.#words[i] as number))) >>> 0;
      if (after !== before) {
        this.#words[i] = after;
        changed = true;
      }
    }
    return changed;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.#words.length; i++) {
      let word = this.#words[i] as number;
      while (word !== 0) {
        yield i * 32 + (31 - Math.clz32(word & -word));
        word &= word - 1;
      }
    }
  }
}
