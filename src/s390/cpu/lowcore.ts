import type { Core } from './core.ts';

/** The prefix area of a CPU, as the CPU itself uses it: at absolute addresses, big-endian, with no key or low-address protection. Offsets are of `LOWCORE`. */
export class Lowcore {
  readonly #core: Core;
  /** Some access was refused: the CPU cannot go on. */
  refused = false;

  constructor(core: Core) {
    this.#core = core;
  }

  read(offset: number, bytes: 1 | 2 | 4 | 8): bigint {
    const data = this.#core.hardware.read(this.#core.prefix + offset, bytes);
    if (data === null) {
      this.refused = true;
      return 0n;
    }
    return data.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  write(offset: number, bytes: 1 | 2 | 4 | 8, value: bigint | number): void {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)));
    this.#store(offset, data.subarray(8 - bytes));
  }

  #store(offset: number, data: Uint8Array): void {
    if (!this.#core.hardware.write(this.#core.prefix + offset, data)) this.refused = true;
  }
}
