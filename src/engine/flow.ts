import { CallExpr, type Expr } from '../wasm/expr.ts';
import type { BitSet } from './bit-set.ts';
import { LEAF, type Statement } from './ir.ts';
import { type Block, type Region, RegisterNumbers } from './region.ts';
import type { FlagGroup, StateLayout } from './state.ts';

/** What data flow knows of a block. Sets are over the region's register numbers. */
export interface BlockFlow {
  /** Read before it is surely written. */
  readonly use: BitSet;
  /** Perhaps written. */
  readonly define: BitSet;
  /** Surely written. */
  readonly kill: BitSet;
  /** Perhaps written before some access that can fault or trap. */
  readonly beforeFault: BitSet;
  readonly canFault: boolean;
  /** At entry, newer than memory. */
  readonly dirtyIn: BitSet;
  /** At the end, newer than memory. */
  readonly dirtyOut: BitSet;
  /** At entry, must be in its local. */
  readonly liveIn: BitSet;
  /** Most instructions on a path from here that passes no budget check. */
  bound: number;
  /** Position of the immediate dominator. */
  dominator: number;
  /** Blocks that this one immediately dominates, by position. */
  readonly children: number[];
  isLoopHead: boolean;
  /** Reached by several forward edges. */
  isMerge: boolean;
  /** Reached by several edges, or from a jump table: flags are in memory here. */
  joins: boolean;
}

/** Data flow and structure of a region. */
export interface Flow {
  readonly registers: RegisterNumbers;
  /** By position in reverse postorder. */
  readonly blocks: readonly BlockFlow[];
  /** Whether some backward edge goes to a block that does not dominate its source. */
  readonly irreducible: boolean;
  /** The registers that are flags. */
  readonly flags: BitSet;
  /** Whether instructions write what recipes of flags read from memory. */
  readonly writesSeldom: boolean;
}

/** The flags that are newer than memory at the end of a block: on the way to one that `joins` they are written there. */
export function dirtyFlags(flow: Flow, from: BlockFlow): BitSet {
  const result = flow.registers.emptySet();
  for (const n of from.dirtyOut) if (flow.flags.has(n)) result.add(n);
  return result;
}

/** Computes what the emitter needs to keep registers in locals and control flow structured. */
export function analyse(region: Region, layout: StateLayout): Flow {
  const registers = new RegisterNumbers();
  for (const b of region.blocks) numberRegisters(b, registers, layout);
  const blocks = region.blocks.map((b) => summarise(b, registers, layout));
  boundPaths(region, blocks);
  dominate(region, blocks);
  const irreducible = classifyEdges(region, blocks);
  if (irreducible) for (const f of blocks) f.joins = true;
  const flags = registers.emptySet();
  registers.slots.forEach((index, n) => {
    if (layout.slots[index]?.width === 8) flags.add(n);
  });
  const writesSeldom = registers.slots.some(
    (index, n) => layout.isSeldomWritten(index) && blocks.some((f) => f.define.has(n)),
  );
  const flow = { registers, blocks, irreducible, flags, writesSeldom };
  propagateDirty(region, flow);
  propagateLive(region, flow);
  return flow;
}

/** Calls `read` for each register read and `write` for each one written, in order. */
function scan(
  statements: readonly Statement[],
  visitor: {
    read(slot: number): void;
    write(slot: number, sure: boolean): void;
    fault(): void;
  },
  sure = true,
): void {
  const expression = (e: Expr): void => {
    if (e.op === LEAF.slot) visitor.read(e.imm as number);
    if (e.a) expression(e.a);
    if (e.b) expression(e.b);
    if (e.c) expression(e.c);
    if (e instanceof CallExpr) for (const x of e.args) expression(x);
  };
  for (const s of statements) {
    switch (s.kind) {
      case 'let':
        expression(s.value);
        break;
      case 'set':
        expression(s.value);
        visitor.write(s.slot.index, sure);
        break;
      case 'load':
        expression(s.address);
        visitor.fault();
        break;
      case 'store':
        expression(s.address);
        expression(s.value);
        visitor.fault();
        break;
      case 'trap':
        expression(s.argument);
        visitor.fault();
        break;
      case 'if':
        expression(s.condition);
        scan(s.whenTrue, visitor, false);
        scan(s.whenFalse, visitor, false);
        break;
      default:
        throw new Error(`a ${s.kind} statement cannot stand inside a translated block`);
    }
  }
}

/**
 * Visits a block. An instruction that writes some flags of a group and not all of them counts as one that reads and writes the others too: a group is
 * newer than memory as a whole, or not at all.
 */
function scanBlock(block: Block, layout: StateLayout, visitor: Parameters<typeof scan>[1]): void {
  for (const { statements } of block.instructions) {
    const written = new Set<number>();
    const groups = new Set<FlagGroup>();
    scan(statements, {
      ...visitor,
      write(slot, sure) {
        visitor.write(slot, sure);
        const group = layout.groupOf(slot);
        if (group !== undefined) groups.add(group);
        if (sure) written.add(slot);
      },
    });
    for (const group of groups) {
      for (const { index } of group.slots) {
        if (written.has(index)) continue;
        visitor.read(index);
        visitor.write(index, true);
      }
    }
  }
  if (block.end.kind !== 'jump') return;
  const { condition, target } = block.end;
  const expression = (e: Expr): void => {
    if (e.op === LEAF.slot) visitor.read(e.imm as number);
    if (e.a) expression(e.a);
    if (e.b) expression(e.b);
    if (e.c) expression(e.c);
  };
  if (condition !== null) expression(condition);
  expression(target);
}

function numberRegisters(block: Block, registers: RegisterNumbers, layout: StateLayout): void {
  scanBlock(block, layout, {
    read: (slot) => void registers.of(slot),
    write: (slot) => void registers.of(slot),
    fault: () => {},
  });
}

function summarise(block: Block, registers: RegisterNumbers, layout: StateLayout): BlockFlow {
  const use = registers.emptySet();
  const define = registers.emptySet();
  const kill = registers.emptySet();
  const beforeFault = registers.emptySet();
  let canFault = false;
  scanBlock(block, layout, {
    read(slot) {
      const n = registers.of(slot);
      if (!kill.has(n)) use.add(n);
    },
    write(slot, sure) {
      const n = registers.of(slot);
      define.add(n);
      if (sure) kill.add(n);
    },
    fault() {
      canFault = true;
      beforeFault.addAll(define);
    },
  });
  return {
    use,
    define,
    kill,
    beforeFault,
    canFault,
    dirtyIn: registers.emptySet(),
    dirtyOut: registers.emptySet(),
    liveIn: registers.emptySet(),
    bound: 0,
    dominator: -1,
    children: [],
    isLoopHead: false,
    isMerge: false,
    joins: false,
  };
}

function propagateDirty(region: Region, flow: Flow): void {
  const flows = flow.blocks;
  for (const f of flows) f.dirtyOut.addAll(f.define);
  for (let changed = true; changed; ) {
    changed = false;
    for (const b of region.blocks) {
      const f = flows[b.order] as BlockFlow;
      for (const p of b.predecessors) {
        if (p.continuation === b) continue;
        const from = flows[p.order] as BlockFlow;
        if (f.joins) f.dirtyIn.addDifference(from.dirtyOut, dirtyFlags(flow, from));
        else f.dirtyIn.addAll(from.dirtyOut);
      }
      if (f.dirtyOut.addAll(f.dirtyIn)) changed = true;
    }
  }
}

/** Whether control can leave the region at the end of the block, other than into a call whose state is in memory anyway. */
function leavesRegion(block: Block): boolean {
  const { end } = block;
  if (end.kind === 'stop' || end.kind === 'trap') return true;
  if (end.kind === 'fall') return block.successors.length === 0;
  if (end.call) return block.inlined.length === 0 || end.known === null;
  return end.known === null || block.successors.length < (end.condition === null ? 1 : 2);
}

function propagateLive(region: Region, flow: Flow): void {
  const flows = flow.blocks;
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = region.blocks.length - 1; i >= 0; i--) {
      const b = region.blocks[i] as Block;
      const f = flows[i] as BlockFlow;
      if (f.liveIn.addAll(f.use)) changed = true;
      if (f.canFault) {
        if (f.liveIn.addAll(f.dirtyIn)) changed = true;
        if (f.liveIn.addAll(f.beforeFault)) changed = true;
      }
      for (const s of b.successors) {
        if (s === b.continuation) continue;
        const to = flows[s.order] as BlockFlow;
        if (f.liveIn.addDifference(to.liveIn, f.kill)) changed = true;
        if (to.joins && f.liveIn.addDifference(dirtyFlags(flow, f), f.kill)) changed = true;
        // A backward edge may leave the region, because it checks the budget.
        if (s.order <= b.order && f.liveIn.addDifference(f.dirtyOut, f.kill)) changed = true;
      }
      if (leavesRegion(b) && f.liveIn.addDifference(f.dirtyOut, f.kill)) changed = true;
    }
  }
}

function boundPaths(region: Region, flows: readonly BlockFlow[]): void {
  for (let i = region.blocks.length - 1; i >= 0; i--) {
    const b = region.blocks[i] as Block;
    let longest = 0;
    for (const s of b.successors) {
      if (s.order > i && s !== b.continuation) longest = Math.max(longest, (flows[s.order] as BlockFlow).bound);
    }
    (flows[i] as BlockFlow).bound = b.instructions.length + longest;
  }
}

/** Immediate dominators (Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm). */
function dominate(region: Region, flows: readonly BlockFlow[]): void {
  (flows[0] as BlockFlow).dominator = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 1; i < region.blocks.length; i++) {
      const f = flows[i] as BlockFlow;
      let d = -1;
      for (const p of (region.blocks[i] as Block).predecessors) {
        if ((flows[p.order] as BlockFlow).dominator < 0) continue;
        d = d < 0 ? p.order : commonDominator(flows, d, p.order);
      }
      if (d !== f.dominator) {
        f.dominator = d;
        changed = true;
      }
    }
  }
  for (let i = 1; i < flows.length; i++) (flows[(flows[i] as BlockFlow).dominator] as BlockFlow).children.push(i);
}

function commonDominator(flows: readonly BlockFlow[], a: number, b: number): number {
  let x = a;
  let y = b;
  while (x !== y) {
    while (x > y) x = (flows[x] as BlockFlow).dominator;
    while (y > x) y = (flows[y] as BlockFlow).dominator;
  }
  return x;
}

function classifyEdges(region: Region, flows: readonly BlockFlow[]): boolean {
  let irreducible = false;
  for (const b of region.blocks) {
    const f = flows[b.order] as BlockFlow;
    let forward = 0;
    for (const p of b.predecessors) {
      if (p.order < b.order) {
        forward++;
        continue;
      }
      f.isLoopHead = true;
      let d = p.order;
      while (d > b.order) d = (flows[d] as BlockFlow).dominator;
      if (d !== b.order) irreducible = true;
    }
    f.isMerge = forward > 1;
    f.joins = f.isMerge || f.isLoopHead;
  }
  return irreducible;
}
