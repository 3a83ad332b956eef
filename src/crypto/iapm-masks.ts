import { type Expr, i32, localGet, v128 } from '../wasm/expr.ts';
import { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { I32, V128 } from '../wasm/types.ts';
import { BLOCK_BYTES } from './lengths.ts';

/** Where the mask seeds W_0, W_1, … are in the memory of the masks: room for 32 of them. */
const SEEDS = 0;
/** Where the message begins; behind it the block of checksum or tag. */
const MESSAGE = 1024;
const PAGE = 0x10000;
/** The memory grows with the longest message, up to this many pages. */
const MOST_PAGES = 0x4000;

/** What is summed up on the way: the blocks as they were, or as they become. */
type Summed = 'before' | 'after' | 'nothing';

/**
 * The masks of IAPM (power-pef.md 8.4) over one message in WebAssembly: S_i is XORed into block i, S_0 = W_0, S_i = S_{i-1} ⊕ W_{1+ntz(i)}. The
 * memory is scratch: it holds nothing between two messages.
 */
export class IapmMasks {
  readonly #memory = new WebAssembly.Memory({ initial: 2, maximum: MOST_PAGES });
  readonly #mask: Readonly<Record<Summed, (blocks: number) => void>>;

  constructor() {
    const module = new WebAssembly.Module(masksModule());
    const { exports } = new WebAssembly.Instance(module, { masks: { memory: this.#memory } });
    this.#mask = exports as unknown as Record<Summed, (blocks: number) => void>;
  }

  /**
   * Takes a message in, and the seeds that its masks are made of.
   * @param tag what stands in the block behind it; zero unless given
   * @returns message and that block, in memory that is good until `clear`
   */
  load(message: Uint8Array, seeds: Uint8Array, tag?: Uint8Array): Uint8Array {
    const end = MESSAGE + message.length + BLOCK_BYTES;
    const missing = Math.ceil((end - this.#memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.#memory.grow(missing);
    const bytes = new Uint8Array(this.#memory.buffer);
    bytes.set(seeds, SEEDS);
    bytes.set(message, MESSAGE);
    if (tag !== undefined) bytes.set(tag, end - BLOCK_BYTES);
    return bytes.subarray(MESSAGE, end);
  }

  /** Masks `blocks` blocks; the sum, with S_{blocks+1}, is XORed into the block behind them. */
  mask(blocks: number, summed: Exclude<Summed, 'nothing'>): void {
    this.#mask[summed](blocks);
  }

  /** Masks `blocks` blocks; S_0 is XORed into the block behind them. */
  maskWithTag(blocks: number): void {
    this.#mask.nothing(blocks);
  }

  /** Forgets the message and the seeds. */
  clear(message: Uint8Array): void {
    message.fill(0);
    new Uint8Array(this.#memory.buffer, SEEDS, MESSAGE).fill(0);
  }
}

function masksModule(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('masks', 'memory', 2, MOST_PAGES);
  for (const summed of ['before', 'after', 'nothing'] as const) module.function(maskFunction(summed), summed);
  return module.finish();
}

function maskFunction(summed: Summed): FunctionBuilder {
  const f = new FunctionBuilder([I32], []);
  const blocks = localGet(I32, 0);
  const [i, at] = [f.local(I32), f.local(I32)];
  const [mask, block, sum] = [f.local(V128), f.local(V128), f.local(V128)];
  const number = localGet(I32, i);
  const address = localGet(I32, at);
  const value = (local: number): Expr<V128> => localGet(V128, local);
  const nextMask = () => {
    const seed = i32.add(i32.const(1), i32.ctz(number));
    const w = v128.load(i32.shl(seed, i32.const(4)), SEEDS);
    f.set(mask, v128.xor(value(mask), w));
  };
  const add = () => f.set(sum, v128.xor(value(sum), value(block)));

  f.set(mask, v128.load(i32.const(SEEDS)));
  f.set(i, i32.const(1));
  f.set(at, i32.const(MESSAGE));
  f.block((done) => {
    f.loop((again) => {
      f.brIf(i32.gtU(number, blocks), done);
      nextMask();
      f.set(block, v128.load(address));
      if (summed === 'before') add();
      f.set(block, v128.xor(value(block), value(mask)));
      if (summed === 'after') add();
      f.store128(address, value(block));
      f.set(i, i32.add(number, i32.const(1)));
      f.set(at, i32.add(address, i32.const(BLOCK_BYTES)));
      f.br(again);
    });
  });
  if (summed === 'nothing') {
    f.store128(address, v128.xor(v128.load(address), v128.load(i32.const(SEEDS))));
    return f;
  }
  nextMask();
  f.set(sum, v128.xor(value(sum), value(mask)));
  f.store128(address, v128.xor(v128.load(address), value(sum)));
  return f;
}
