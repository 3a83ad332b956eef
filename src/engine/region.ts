import type { Expr } from '../wasm/expr.ts';
import { OP } from '../wasm/opcode.ts';
import type { I32, I64 } from '../wasm/types.ts';
import { BitSet } from './bit-set.ts';
import type { CpuContext } from './cpu.ts';
import type { Translation } from './cpu-model.ts';
import type { InstructionSet } from './instruction.ts';
import type { JumpKind, Statement } from './ir.ts';
import { PAGE_MASK, PAGE_SHIFT, PAGE_SIZE } from './layout.ts';
import type { Mode } from './semantics.ts';
import { constantMeaning } from './specialize.ts';

/** Limits that keep a region's compile time and code size in hand (`docs/engine.md`). */
const MAX_BLOCKS = 200;
const MAX_INSTRUCTIONS = 2000;

/** One instruction of a block, with everything but its final jump. */
export interface BlockInstruction {
  readonly pc: bigint;
  readonly length: number;
  readonly statements: readonly Statement[];
}

/** How a block ends. */
export type Terminator =
  /** Control goes on at the next block; also where translation stops short of an instruction. */
  | { readonly kind: 'fall'; readonly next: bigint }
  /** The instruction at `next` is left to the interpreter. */
  | { readonly kind: 'stop'; readonly next: bigint }
  /** The last statement traps. */
  | { readonly kind: 'trap' }
  | {
      readonly kind: 'jump';
      readonly condition: Expr<I32> | null;
      readonly target: Expr<I64>;
      /** The target if it is a constant. */
      readonly known: bigint | null;
      /** Targets that an indirect jump is known to have, most frequent first. */
      readonly cases: readonly bigint[];
      /** Address of the jump. */
      readonly pc: bigint;
      readonly how: JumpKind;
      readonly call: boolean;
      /** Behind the jump. */
      readonly next: bigint;
    };

/** A straight run of instructions with one entry. Sets are over the region's register numbers. */
export interface Block {
  readonly start: bigint;
  readonly instructions: readonly BlockInstruction[];
  readonly end: Terminator;
  /** Blocks that control goes to within the region, in no particular order. */
  successors: Block[];
  /** The block behind a call: a successor that is entered with all registers in memory. */
  continuation: Block | null;
  predecessors: Block[];
  /** Position in reverse postorder, −1 if not reached. */
  order: number;
}

/** A set of blocks with one entry, and the pages their bytes lie on. */
export interface Region {
  readonly entry: Block;
  /** In reverse postorder. */
  readonly blocks: readonly Block[];
  readonly pages: readonly { readonly virtualPage: bigint; readonly hostPage: number }[];
  readonly instructionCount: number;
}

/**
 * Finds the blocks that direct jumps reach from `entry`, including what follows calls.
 * @param jumpTargets where an indirect jump was seen to go
 * @returns null where nothing can be translated, e.g. because the first instruction is left to the interpreter
 */
export function discoverRegion<M extends Mode>(
  context: CpuContext<M>,
  isa: InstructionSet<M>,
  entry: bigint,
  jumpTargets: (pc: bigint) => readonly bigint[],
): Region | null {
  const reader = new CodeReader(context, isa, jumpTargets);
  const leaders = new Set<bigint>([entry]);
  const runs = new Map<bigint, BlockInstruction[]>();
  const ends = new Map<bigint, Terminator>();
  const work = [entry];
  const seen = new Set<bigint>();
  let count = 0;

  const lead = (pc: bigint): void => {
    leaders.add(pc);
    if (!seen.has(pc)) work.push(pc);
  };

  while (work.length > 0) {
    const start = work.shift() as bigint;
    if (seen.has(start) || leaders.size > MAX_BLOCKS || count > MAX_INSTRUCTIONS) continue;
    const run: BlockInstruction[] = [];
    let pc = start;
    for (;;) {
      if (seen.has(pc)) {
        ends.set(start, { kind: 'fall', next: pc });
        leaders.add(pc);
        break;
      }
      const read = reader.instructionAt(pc);
      if (read === null) {
        ends.set(start, { kind: 'stop', next: pc });
        break;
      }
      seen.add(pc);
      count++;
      run.push(read.instruction);
      pc += BigInt(read.instruction.length);
      if (read.end !== null) {
        ends.set(start, read.end);
        if (read.end.kind === 'jump') followJump(read.end, lead);
        break;
      }
    }
    runs.set(start, run);
  }
  return assemble(entry, leaders, runs, ends, reader);
}

function followJump(jump: Extract<Terminator, { kind: 'jump' }>, lead: (pc: bigint) => void): void {
  if (jump.known !== null && !jump.call) lead(jump.known);
  for (const target of jump.cases) lead(target);
  if (jump.condition !== null || jump.call) lead(jump.next);
}

/** Cuts the runs at every leader and joins them to a graph. */
function assemble(
  entry: bigint,
  leaders: ReadonlySet<bigint>,
  runs: ReadonlyMap<bigint, readonly BlockInstruction[]>,
  ends: ReadonlyMap<bigint, Terminator>,
  reader: { readonly pages: Region['pages'] },
): Region | null {
  const blocks = new Map<bigint, Block>();
  for (const [start, run] of runs) {
    let from = 0;
    for (let i = 1; i <= run.length; i++) {
      const at = run[i];
      if (at !== undefined && !leaders.has(at.pc)) continue;
      const first = run[from];
      if (first === undefined) break;
      const end: Terminator = at === undefined ? (ends.get(start) as Terminator) : { kind: 'fall', next: at.pc };
      blocks.set(first.pc, newBlock(first.pc, run.slice(from, i), end));
      from = i;
    }
  }
  const first = blocks.get(entry);
  if (first === undefined) return null;
  for (const b of blocks.values()) connect(b, blocks);
  const ordered = reversePostorder(first);
  for (const b of ordered) for (const s of b.successors) s.predecessors.push(b);
  return {
    entry: first,
    blocks: ordered,
    pages: reader.pages,
    instructionCount: ordered.reduce((n, b) => n + b.instructions.length, 0),
  };
}

function newBlock(start: bigint, instructions: readonly BlockInstruction[], end: Terminator): Block {
  return { start, instructions, end, successors: [], continuation: null, predecessors: [], order: -1 };
}

function connect(block: Block, blocks: ReadonlyMap<bigint, Block>): void {
  const { end } = block;
  const targets: bigint[] = [];
  if (end.kind === 'fall') targets.push(end.next);
  if (end.kind === 'jump') {
    if (end.known !== null && !end.call) targets.push(end.known);
    targets.push(...end.cases);
    if (end.condition !== null || end.call) targets.push(end.next);
    if (end.call && end.condition === null) block.continuation = blocks.get(end.next) ?? null;
  }
  block.successors = [...new Set(targets)].flatMap((t) => blocks.get(t) ?? []);
}

function reversePostorder(entry: Block): Block[] {
  const postorder: Block[] = [];
  const visited = new Set<Block>([entry]);
  const stack: { block: Block; next: number }[] = [{ block: entry, next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const successor = top.block.successors[top.next++];
    if (successor === undefined) {
      postorder.push(top.block);
      stack.pop();
    } else if (!visited.has(successor)) {
      visited.add(successor);
      stack.push({ block: successor, next: 0 });
    }
  }
  postorder.reverse();
  postorder.forEach((b, i) => {
    b.order = i;
  });
  return postorder;
}

/** Reads instructions through the context's own translation, and remembers the pages they came from. */
class CodeReader<M extends Mode> {
  readonly pages: { readonly virtualPage: bigint; readonly hostPage: number }[] = [];
  readonly #context: CpuContext<M>;
  readonly #isa: InstructionSet<M>;
  readonly #jumpTargets: (pc: bigint) => readonly bigint[];
  readonly #hosts = new Map<bigint, number>();
  readonly #result: Translation = { host: 0, writable: false, cacheable: false };

  constructor(context: CpuContext<M>, isa: InstructionSet<M>, jumpTargets: (pc: bigint) => readonly bigint[]) {
    this.#context = context;
    this.#isa = isa;
    this.#jumpTargets = jumpTargets;
  }

  /**
   * The instruction at an address, and how it ends a block if it does.
   * @returns null where the interpreter must take over: no code there, an instruction on two pages, or one that only TypeScript can do
   */
  instructionAt(pc: bigint): { instruction: BlockInstruction; end: Terminator | null } | null {
    const host = this.#hostOf(pc);
    if (host === null) return null;
    const left = PAGE_SIZE - (host & PAGE_MASK);
    const { mode, store } = this.#context;
    const at = (i: number): number => (i < left ? (store.bytes[host + i] as number) : 0);
    const big = mode.instructionsBigEndian;
    const head =
      (big
        ? (at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3)
        : (at(3) << 24) | (at(2) << 16) | (at(1) << 8) | at(0)) >>> 0;
    const tail = big ? (at(4) << 8) | at(5) : (at(5) << 8) | at(4);
    const length = this.#isa.lengthOf(head >>> 16);
    const decoded = length > left ? undefined : this.#isa.decode(head, tail);
    if (decoded === undefined) return null;
    const word = length === 2 ? head >>> 16 : head;
    const { statements } = constantMeaning(mode, decoded, word, tail, pc);
    const last = statements.at(-1);
    if (last?.kind === 'helper' || last?.kind === 'execute') return null;
    const instruction: BlockInstruction = { pc, length, statements };
    if (last?.kind === 'trap') return { instruction, end: { kind: 'trap' } };
    if (last?.kind !== 'jump') return { instruction, end: null };
    const next = pc + BigInt(length);
    const known = last.target.op === OP.i64_const ? BigInt.asUintN(64, last.target.imm as bigint) : null;
    const end: Terminator = {
      kind: 'jump',
      condition: last.condition,
      target: last.target,
      known,
      cases: last.how === 'indirect' && !last.call && known === null ? this.#jumpTargets(pc) : [],
      pc,
      how: last.how,
      // A call to the next instruction only asks for its address.
      call: last.call && known !== next,
      next,
    };
    return { instruction: { pc, length, statements: statements.slice(0, -1) }, end };
  }

  #hostOf(pc: bigint): number | null {
    const page = pc >> BigInt(PAGE_SHIFT);
    let host = this.#hosts.get(page);
    if (host === undefined) {
      const low = Number(BigInt.asIntN(32, page << BigInt(PAGE_SHIFT)));
      const high = Number(BigInt.asIntN(32, pc >> 32n));
      const { alignment } = this.#isa;
      const ok = this.#context.model.translate(high, low, 'fetch', 0, alignment, this.#result);
      if (!ok || !this.#result.cacheable) return null;
      host = (this.#result.host & ~PAGE_MASK) >>> 0;
      this.#hosts.set(page, host);
      this.pages.push({ virtualPage: page, hostPage: host >>> PAGE_SHIFT });
    }
    return host + Number(pc & BigInt(PAGE_MASK));
  }
}

/** Registers that a region touches, numbered from 0. */
export class RegisterNumbers {
  readonly slots: number[] = [];
  readonly #numbers = new Map<number, number>();

  /** The region's number of a layout slot. */
  of(slotIndex: number): number {
    let number = this.#numbers.get(slotIndex);
    if (number === undefined) {
      number = this.slots.push(slotIndex) - 1;
      this.#numbers.set(slotIndex, number);
    }
    return number;
  }

  emptySet(): BitSet {
    return new BitSet(this.slots.length);
  }
}
