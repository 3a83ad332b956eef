import { readVirtual, writeVirtual } from '../../engine/access.ts';
import { stringCount } from '../isa/state.ts';
import type { Core } from './core.ts';
import { gpr, setGpr } from './registers.ts';

/** Primary opcodes and, under opcode 31, extended ones (Power ISA 3.0B, Book I 3.3.6 and 3.3.7). */
const OPCODE = { x: 31, lmw: 46, stmw: 47, lq: 56, stq: 62 } as const;
const XO = { lswx: 533, lswi: 597, stswx: 661, stswi: 725 } as const;

const field = (word: number, first: number, width: number): number =>
  (word >>> (32 - first - width)) & (2 ** width - 1);

function signed(word: number, first: number, width: number): bigint {
  return BigInt.asIntN(width, BigInt(field(word, first, width)));
}

/** Effective address of a load or store that has no immediate index register of its own kind: D, DS, DQ and X forms. */
export function effectiveAddress(core: Core, word: number): bigint {
  const ra = field(word, 11, 5);
  const base = ra === 0 ? 0n : gpr(core.context, ra);
  const address = BigInt.asUintN(64, base + displacement(core, word));
  return core.context.mode.sixtyFour ? address : BigInt.asUintN(32, address);
}

function displacement(core: Core, word: number): bigint {
  switch (field(word, 0, 6)) {
    case OPCODE.x: {
      const xo = field(word, 21, 10);
      const immediate = xo === XO.lswi || xo === XO.stswi;
      return immediate ? 0n : gpr(core.context, field(word, 16, 5));
    }
    case OPCODE.lq:
      return signed(word, 16, 12) * 16n;
    case OPCODE.stq:
      return signed(word, 16, 14) * 4n;
    default:
      return signed(word, 16, 16);
  }
}

/** Bytes and registers that a multiple or string instruction moves. */
function extent(core: Core, word: number): { readonly first: number; readonly bytes: number } {
  const first = field(word, 6, 5);
  const opcode = field(word, 0, 6);
  if (opcode === OPCODE.lmw || opcode === OPCODE.stmw) return { first, bytes: 4 * (32 - first) };
  const xo = field(word, 21, 10);
  if (xo === XO.lswx || xo === XO.stswx) return { first, bytes: core.context.get32(stringCount) };
  const count = field(word, 16, 5);
  return { first, bytes: count === 0 ? 32 : count };
}

function halves(address: bigint): [high: number, low: number] {
  return [Number(address >> 32n) | 0, Number(address & 0xffffffffn) | 0];
}

/**
 * lmw, lswi, lswx, in big-endian mode: bytes fill the low words of registers from the left; all are read before a register changes.
 * @returns false where the access faults
 */
export function loadMultiple(core: Core, word: number): boolean {
  const { first, bytes } = extent(core, word);
  if (bytes === 0) return true;
  const data = readVirtual(core.context, ...halves(effectiveAddress(core, word)), bytes);
  if (data === null) return false;
  for (let at = 0; at < bytes; at += 4) {
    let value = 0;
    for (let i = 0; i < 4; i++) value = (value << 8) | (data[at + i] ?? 0);
    setGpr(core.context, (first + at / 4) % 32, BigInt(value >>> 0));
  }
  return true;
}

/** stmw, stswi, stswx, in big-endian mode. @returns false where the access faults: nothing was stored */
export function storeMultiple(core: Core, word: number): boolean {
  const { first, bytes } = extent(core, word);
  if (bytes === 0) return true;
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at++) {
    const value = Number(gpr(core.context, (first + (at >> 2)) % 32) & 0xffffffffn);
    data[at] = value >>> (24 - 8 * (at & 3));
  }
  return writeVirtual(core.context, ...halves(effectiveAddress(core, word)), data);
}

/** The instruction at pc, as hardware puts it into HEIR; 0 where it cannot be fetched. */
export function currentInstruction(core: Core): number {
  const { context } = core;
  const bytes = readVirtual(context, ...halves(context.pc), 4, 0, 'fetch');
  if (bytes === null) return 0;
  return new DataView(bytes.buffer).getUint32(0, !context.mode.instructionsBigEndian);
}
