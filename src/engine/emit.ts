import { byteSwap16, byteSwap32, byteSwap64, type Expr, i32, i64, load, localGet } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { OP } from '../wasm/opcode.ts';
import { I32, I64, type ValType } from '../wasm/types.ts';
import type { AccessSize } from './ir.ts';
import { CONTEXT, DATA_TLB, JUMP_RING, PAGE_SHIFT, PAGE_SIZE } from './layout.ts';
import type { Slot } from './state.ts';

/** Imported functions that generated code calls when the fast path does not do, by function index. */
export interface SlowPaths {
  /** (size | space << 8) → host address of the bytes, 0 where the access faulted. The address is in `CONTEXT.accessAddress`. */
  readonly load: number;
  /** (size | space << 8) → 1, or 0 where the access faulted. The value is in `CONTEXT.bounce`, the address in `CONTEXT.accessAddress`. */
  readonly store: number;
}

/** Signatures of the slow paths, for whoever imports them. */
export const SLOW_SIGNATURE: { readonly params: ValType[]; readonly results: ValType[] } = {
  params: [I32],
  results: [I32],
};

const UNSIGNED_LOAD = { 1: OP.i64_load8_u, 2: OP.i64_load16_u, 4: OP.i64_load32_u, 8: OP.i64_load } as const;
const SIGNED_LOAD = { 1: OP.i64_load8_s, 2: OP.i64_load16_s, 4: OP.i64_load32_s, 8: OP.i64_load } as const;
const NARROW_STORE = { 1: OP.i32_store8, 2: OP.i32_store16, 4: OP.i32_store } as const;

/** The low half of an address. */
export const low32 = (address: Expr<I64>): Expr<I32> => i32.wrap(address);
/** The high half of an address. */
export const high32 = (address: Expr<I64>): Expr<I32> => i32.wrap(i64.shrU(address, i64.const(32)));

/** Value of a register from its place in the context. */
export function loadSlot(context: Expr<I32>, slot: Slot): Expr {
  if (slot.width === 64) return i64.load(context, slot.offset);
  return slot.width === 8 ? i32.load8U(context, slot.offset) : i32.load(context, slot.offset);
}

/** Writes a register to its place in the context. */
export function storeSlot(b: FunctionBuilder, context: Expr<I32>, slot: Slot, value: Expr): void {
  if (slot.width === 64) b.store64(context, value, slot.offset);
  else if (slot.width === 8) b.store8(context, value, slot.offset);
  else b.store32(context, value, slot.offset);
}

/** What a memory access is made of. */
export interface AccessParts {
  /** Let-bound: used several times. */
  readonly address: Expr<I64>;
  readonly size: AccessSize;
  readonly bigEndian: boolean;
  readonly space: number;
}

/** What an access emits besides itself. */
export interface AccessExits {
  /** Emitted ahead of the slow path: brings the context's pc and budget up to date. */
  readonly beforeSlow: () => void;
  /** Emitted where the access faulted; must not fall through. */
  readonly fault: () => void;
}

function tlbEntry(b: FunctionBuilder, { context, current }: DataTlb, parts: AccessParts): Expr<I32> {
  const tlb = parts.space === 0 ? current : i32.load(context, CONTEXT.dataTlb + 4 * parts.space);
  const index = i32.and(
    i32.wrap(i64.shrU(parts.address, i64.const(PAGE_SHIFT - DATA_TLB.entryShift))),
    i32.const((DATA_TLB.entries - 1) << DATA_TLB.entryShift),
  );
  return b.let(i32.add(tlb, index));
}

/** Whether the access is not wholly inside the page that the entry maps. */
function misses(parts: AccessParts, tag: Expr<I64>): Expr<I32> {
  return i64.gtU(i64.add(tag, parts.address), i64.const(PAGE_SIZE - parts.size));
}

/**
 * Calls a slow path; its answer is on the stack then. The address goes through memory: its low half as an argument would be computed ahead of the fast
 * path, which needs it too, and take a register there.
 */
function callSlow(b: FunctionBuilder, path: number, context: Expr<I32>, parts: AccessParts): void {
  b.store64(context, parts.address, CONTEXT.accessAddress);
  b.callStatement(path, [i32.const(parts.size | (parts.space << 8))]);
}

/** Which TLB an access uses. */
export interface DataTlb {
  readonly context: Expr<I32>;
  /** Host address of the current space's TLB. */
  readonly current: Expr<I32>;
  /** The linear addend of the current space's TLB, null where its linear tags are not used. */
  readonly linear: Expr<I32> | null;
}

/**
 * Emits a load: inline TLB check, slow path, then the access.
 * @returns the value, zero- or sign-extended to 64 bits, in a local of the current scope
 */
export function emitLoad(
  b: FunctionBuilder,
  tlb: DataTlb,
  slow: SlowPaths,
  parts: AccessParts,
  signed: boolean,
  exits: AccessExits,
): Expr<I64> {
  const entry = tlbEntry(b, tlb, parts);
  const value = b.temp(I64);
  const read = (host: Expr<I32>): void => b.set(value, ordered(b, host, parts, signed));
  const readThroughEntry = (): void =>
    b.if(
      misses(parts, i64.load(entry, DATA_TLB.base)),
      () => {
        exits.beforeSlow();
        const host = b.temp(I32);
        callSlow(b, slow.load, tlb.context, parts);
        b.popTo(host);
        b.if(i32.eqz(localGet(I32, host)), exits.fault, undefined, 'unlikely');
        read(localGet(I32, host));
      },
      () => read(i32.add(low32(parts.address), i32.load(entry, DATA_TLB.addend))),
      'unlikely',
    );
  const linear = parts.space === 0 ? tlb.linear : null;
  if (linear === null) readThroughEntry();
  else {
    b.if(
      misses(parts, i64.load(entry, DATA_TLB.linearRead)),
      readThroughEntry,
      () => read(i32.add(low32(parts.address), linear)),
      'unlikely',
    );
  }
  return localGet(I64, value);
}

function ordered(b: FunctionBuilder, host: Expr<I32>, parts: AccessParts, signed: boolean): Expr<I64> {
  if (!parts.bigEndian || parts.size === 1) {
    return load(I64, (signed ? SIGNED_LOAD : UNSIGNED_LOAD)[parts.size], host, 0);
  }
  if (parts.size === 8) return byteSwap64(b.let(i64.load(host)));
  if (parts.size === 4) {
    const swapped = byteSwap32(b.let(i32.load(host)));
    return signed ? i64.extendS(swapped) : i64.extendU(swapped);
  }
  const swapped = byteSwap16(b.let(i32.load16U(host)));
  return signed ? i64.extendS(i32.extend16(swapped)) : i64.extendU(swapped);
}

/** What a store emits besides itself. */
export interface StoreExits extends AccessExits {
  /** Emitted behind the slow path with its answer, 1 or more. */
  readonly afterSlow?: (answer: Expr<I32>) => void;
}

/** Emits a store of the low `size` bytes of `value`. */
export function emitStore(
  b: FunctionBuilder,
  tlb: DataTlb,
  slow: SlowPaths,
  parts: AccessParts,
  value: Expr<I64>,
  exits: StoreExits,
): void {
  const swap = parts.bigEndian && parts.size > 1;
  const bytes =
    parts.size === 8
      ? swap
        ? byteSwap64(b.let(value))
        : value
      : swap
        ? (parts.size === 4 ? byteSwap32 : byteSwap16)(b.let(i32.wrap(value)))
        : i32.wrap(value);
  const kept = b.let(bytes);
  const op = parts.size === 8 ? OP.i64_store : NARROW_STORE[parts.size];
  const entry = tlbEntry(b, tlb, parts);
  const writeThroughEntry = (): void =>
    b.if(
      i32.or(misses(parts, i64.load(entry, DATA_TLB.base)), i32.eqz(i32.load(entry, DATA_TLB.writable))),
      () => {
        exits.beforeSlow();
        b.store(op, tlb.context, kept, CONTEXT.bounce);
        const done = b.temp(I32);
        callSlow(b, slow.store, tlb.context, parts);
        b.popTo(done);
        b.if(i32.eqz(localGet(I32, done)), exits.fault, undefined, 'unlikely');
        exits.afterSlow?.(localGet(I32, done));
      },
      () => b.store(op, i32.add(low32(parts.address), i32.load(entry, DATA_TLB.addend)), kept),
      'unlikely',
    );
  const linear = parts.space === 0 ? tlb.linear : null;
  if (linear === null) return writeThroughEntry();
  b.if(
    misses(parts, i64.load(entry, DATA_TLB.linearWrite)),
    writeThroughEntry,
    () => b.store(op, i32.add(low32(parts.address), linear), kept),
    'unlikely',
  );
}

/** Notes where an indirect jump goes, so that the translator can make its frequent targets part of the region. */
export function emitNoteJump(b: FunctionBuilder, context: Expr<I32>, pc: Expr<I64>, target: Expr<I64>): void {
  const count = b.let(i32.load(context, CONTEXT.jumpCount));
  b.store32(context, i32.add(count, i32.const(1)), CONTEXT.jumpCount);
  const entry = b.let(i32.add(context, i32.shl(i32.and(count, i32.const(JUMP_RING - 1)), i32.const(4))));
  b.store64(entry, pc, CONTEXT.jumpRing);
  b.store64(entry, target, CONTEXT.jumpRing + 8);
}
