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
import { constantMeaning, following } from './specialize.ts';

/** Limits that keep a region's compile time and code size in hand (`docs/engine.md`). */
const MAX_BLOCKS = 200;
const MAX_INSTRUCTIONS = 2000;
/** Inlined callees: instructions of one, targets of one indirect call, and calls in a region. */
const MAX_INLINED_INSTRUCTIONS = 40;
const MAX_INLINED_TARGETS = 3;
const MAX_COPIES = 32;

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

/** A block's end that goes elsewhere. */
export type JumpTerminator = Extract<Terminator, { readonly kind: 'jump' }>;

/** A straight run of instructions with one entry. Sets are over the region's register numbers. */
export interface Block {
  readonly start: bigint;
  /** Which copy of the code it is: 0, or the number of an inlined call. */
  readonly copy: number;
  readonly instructions: readonly BlockInstruction[];
  readonly end: Terminator;
  /** Blocks that control goes to within the region, in no particular order. */
  successors: Block[];
  /** The block behind a call: a successor that is entered with all registers in memory. */
  continuation: Block | null;
  /** Callees that are part of the region, by address. */
  inlined: readonly { readonly target: bigint; readonly entry: Block }[];
  /** In an inlined callee that returns here: the block behind its call. */
  returnTo: Block | null;
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

/** A call whose callee is part of the region. */
interface InlinedCall {
  readonly target: bigint;
  readonly key: bigint;
}

/** Where a copy of inlined code returns to. */
interface Copy {
  readonly returnTo: bigint;
}

const ADDRESS_BITS = 64n;

/** Blocks are found by address and copy. */
function keyOf(copy: number, pc: bigint): bigint {
  return (BigInt(copy) << ADDRESS_BITS) | pc;
}

/**
 * Finds the blocks that direct jumps reach from `entry`, including what follows calls, and small callees that call nothing themselves.
 * @param jumpTargets where an indirect jump was seen to go
 * @returns null where nothing can be translated, e.g. because the first instruction is left to the interpreter
 */
export function discoverRegion<M extends Mode>(
  context: CpuContext<M>,
  isa: InstructionSet<M>,
  entry: bigint,
  jumpTargets: (pc: bigint) => readonly bigint[],
): Region | null {
  return new Discovery(new CodeReader(context, isa, jumpTargets)).run(entry);
}

/** What one discovery has found so far. All maps are by key. */
class Discovery {
  readonly #reader: CodeSource;
  readonly #leaders = new Set<bigint>();
  readonly #seen = new Set<bigint>();
  readonly #work: bigint[] = [];
  readonly #runs = new Map<bigint, BlockInstruction[]>();
  readonly #ends = new Map<bigint, Terminator>();
  /** By the key of the calling instruction. */
  readonly #inlined = new Map<bigint, InlinedCall[]>();
  /** By copy; the first is the code itself. */
  readonly #copies: (Copy | null)[] = [null];
  #count = 0;

  constructor(reader: CodeSource) {
    this.#reader = reader;
  }

  run(entry: bigint): Region | null {
    this.#lead(entry);
    for (let start = this.#work.shift(); start !== undefined; start = this.#work.shift()) {
      if (!this.#seen.has(start) && this.#leaders.size <= MAX_BLOCKS && this.#count <= MAX_INSTRUCTIONS) {
        this.#follow(start);
      }
    }
    return this.#assemble(entry);
  }

  #lead(key: bigint): void {
    this.#leaders.add(key);
    if (!this.#seen.has(key)) this.#work.push(key);
  }

  /** Reads straight on from a leader. */
  #follow(start: bigint): void {
    const run: BlockInstruction[] = [];
    this.#runs.set(start, run);
    const copy = start >> ADDRESS_BITS;
    for (let key = start; ; ) {
      const pc = BigInt.asUintN(64, key);
      if (this.#seen.has(key)) {
        this.#leaders.add(key);
        this.#ends.set(start, { kind: 'fall', next: pc });
        return;
      }
      const read = this.#reader.instructionAt(pc);
      if (read === null) {
        this.#ends.set(start, { kind: 'stop', next: pc });
        return;
      }
      this.#seen.add(key);
      this.#count++;
      run.push(read.instruction);
      if (read.end !== null) {
        this.#ends.set(start, read.end);
        if (read.end.kind === 'jump') this.#followJump(read.end, Number(copy), key);
        return;
      }
      key = keyOf(Number(copy), read.next);
    }
  }

  #followJump(jump: JumpTerminator, copy: number, key: bigint): void {
    if (jump.call) {
      this.#lead(keyOf(copy, jump.next));
      if (copy === 0 && jump.condition === null) this.#inline(jump, key);
      return;
    }
    if (jump.known !== null) this.#lead(keyOf(copy, jump.known));
    for (const target of jump.cases) this.#lead(keyOf(copy, target));
    if (jump.condition !== null) this.#lead(keyOf(copy, jump.next));
  }

  #inline(jump: JumpTerminator, key: bigint): void {
    const targets = jump.known === null ? jump.cases.slice(0, MAX_INLINED_TARGETS) : [jump.known];
    const calls: InlinedCall[] = [];
    for (const target of targets) {
      if (this.#copies.length > MAX_COPIES || !isSmallLeaf(this.#reader, target)) continue;
      const copy = this.#copies.push({ returnTo: keyOf(0, jump.next) }) - 1;
      calls.push({ target, key: keyOf(copy, target) });
      this.#lead(keyOf(copy, target));
    }
    this.#inlined.set(key, calls);
  }

  /** Cuts the runs at every leader and joins them to a graph. */
  #assemble(entry: bigint): Region | null {
    const blocks = new Map<bigint, Block>();
    for (const [start, run] of this.#runs) {
      const copy = Number(start >> ADDRESS_BITS);
      let from = 0;
      for (let i = 1; i <= run.length; i++) {
        const at = run[i];
        if (at !== undefined && !this.#leaders.has(keyOf(copy, at.pc))) continue;
        const first = run[from];
        if (first === undefined) break;
        const end: Terminator =
          at === undefined ? (this.#ends.get(start) as Terminator) : { kind: 'fall', next: at.pc };
        blocks.set(keyOf(copy, first.pc), newBlock(first.pc, copy, run.slice(from, i), end));
        from = i;
      }
    }
    const first = blocks.get(entry);
    if (first === undefined) return null;
    for (const b of blocks.values()) this.#connect(b, blocks);
    const ordered = reversePostorder(first);
    for (const b of ordered) for (const s of b.successors) s.predecessors.push(b);
    return {
      entry: first,
      blocks: ordered,
      pages: this.#reader.pages,
      instructionCount: ordered.reduce((n, b) => n + b.instructions.length, 0),
    };
  }

  #connect(block: Block, blocks: ReadonlyMap<bigint, Block>): void {
    const { end, copy } = block;
    if (end.kind === 'fall') block.successors = present([blocks.get(keyOf(copy, end.next))]);
    if (end.kind !== 'jump') return;
    const next = blocks.get(keyOf(copy, end.next));
    const targets: (Block | undefined)[] = [];
    if (end.call) {
      const calls = this.#inlined.get(keyOf(copy, end.pc)) ?? [];
      block.inlined = calls.flatMap(({ target, key }) => {
        const callee = blocks.get(key);
        return callee === undefined ? [] : [{ target, entry: callee }];
      });
      targets.push(...block.inlined.map((call) => call.entry));
      const always = end.known !== null && block.inlined.length > 0;
      if (!always) targets.push(next);
      if (!always && end.condition === null) block.continuation = next ?? null;
    } else {
      if (end.known !== null) targets.push(blocks.get(keyOf(copy, end.known)));
      targets.push(...end.cases.map((target) => blocks.get(keyOf(copy, target))));
      if (end.condition !== null) targets.push(next);
      const home = this.#copies[copy];
      if (end.how === 'return' && home) block.returnTo = blocks.get(home.returnTo) ?? null;
      if (block.returnTo !== null) targets.push(block.returnTo);
    }
    block.successors = present(targets);
  }
}

/** A block is there once for each edge to it: one with two edges, even from one block (a branch to the next instruction), is a merge. */
function present(blocks: readonly (Block | undefined)[]): Block[] {
  return blocks.flatMap((b) => b ?? []);
}

/** Whether the code at the address is short, calls nothing, jumps nowhere unknown and returns. */
function isSmallLeaf(reader: CodeSource, target: bigint): boolean {
  const seen = new Set<bigint>();
  const work = [target];
  let returns = false;
  for (let pc = work.pop(); pc !== undefined; pc = work.pop()) {
    while (!seen.has(pc)) {
      seen.add(pc);
      const read = reader.instructionAt(pc);
      if (read === null || seen.size > MAX_INLINED_INSTRUCTIONS) return false;
      pc = read.next;
      const { end } = read;
      if (end === null) continue;
      if (end.kind !== 'jump' || end.call || end.how === 'indirect') return false;
      if (end.condition !== null) work.push(pc);
      if (end.how === 'return') returns = true;
      else if (end.known !== null) work.push(end.known);
      break;
    }
  }
  return returns;
}

function newBlock(start: bigint, copy: number, instructions: readonly BlockInstruction[], end: Terminator): Block {
  return {
    start,
    copy,
    instructions,
    end,
    successors: [],
    continuation: null,
    inlined: [],
    returnTo: null,
    predecessors: [],
    order: -1,
  };
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

/** Where discovery gets instructions from. */
interface CodeSource {
  readonly pages: Region['pages'];
  instructionAt(pc: bigint): ReadInstruction | null;
}

interface ReadInstruction {
  readonly instruction: BlockInstruction;
  /** How it ends a block, if it does. */
  readonly end: Terminator | null;
  /** Address of what follows in storage. */
  readonly next: bigint;
}

/** Reads instructions through the context's own translation, and remembers the pages they came from. */
class CodeReader<M extends Mode> implements CodeSource {
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
  instructionAt(pc: bigint): ReadInstruction | null {
    const host = pc % BigInt(this.#isa.alignment) === 0n ? this.#hostOf(pc) : null;
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
    const next = following(mode, pc, length);
    if (last?.kind === 'trap') return { instruction, end: { kind: 'trap' }, next };
    if (last?.kind !== 'jump') return { instruction, end: null, next };
    const known = last.target.op === OP.i64_const ? BigInt.asUintN(64, last.target.imm as bigint) : null;
    const end: Terminator = {
      kind: 'jump',
      condition: last.condition,
      target: last.target,
      known,
      cases: last.how === 'indirect' && known === null ? this.#jumpTargets(pc) : [],
      pc,
      how: last.how,
      // A call to the next instruction only asks for its address.
      call: last.call && known !== next,
      next,
    };
    return { instruction: { pc, length, statements: statements.slice(0, -1) }, end, next };
  }

  #hostOf(pc: bigint): number | null {
    const page = pc >> BigInt(PAGE_SHIFT);
    let host = this.#hosts.get(page);
    if (host === undefined) {
      const low = Number(BigInt.asIntN(32, page << BigInt(PAGE_SHIFT)));
      const high = Number(BigInt.asIntN(32, pc >> 32n));
      const ok = this.#context.model.probe(high, low, this.#result);
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
