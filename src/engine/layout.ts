/**
 * Where things lie in the one WebAssembly memory: the part that generated code and TypeScript share.
 * All values are in bytes; multi-byte fields are little-endian.
 */

/** Guest memory is mapped and checked in pages of this size. */
export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
export const PAGE_MASK = PAGE_SIZE - 1;

/** Fields of a CPU context, from its base address. The architecture's own state starts at `state`. */
export const CONTEXT = {
  /** i64: address of the next instruction, valid whenever no generated code runs. */
  pc: 0,
  /** i32: instructions left until the run must stop. */
  budget: 8,
  /** i32: why generated code was left, one of `EXIT`. */
  exit: 12,
  /** i32: what the exit is about (a trap's argument, the host address of bytes that are no instruction or have no handler). */
  exitArgument: 16,
  /** i32: decode delta of the page that the last slow fetch found. */
  fetchDelta: 20,
  /** i32: address of the instruction TLB in use. */
  instructionTlb: 24,
  /** i32: address of the region hash in use. */
  regionHash: 28,
  /** i32 each: address of the data TLB of each address space. */
  dataTlb: 32,
  /** i32: why a region left when its result is `LEFT`, one of `EXIT`. */
  regionExit: 64,
  /** i64: where execution goes on after an instruction from the execute buffer. */
  executeReturn: 72,
  /** 16 bytes: value of a slow store; bytes of a slow load. */
  bounce: 80,
  /** 16 bytes: an instruction that is not executed from where it lies in memory. */
  executeText: 96,
  /** 12 bytes: decode slots of `executeText`. */
  executeSlots: 112,
  /** i32: how many indirect jumps were noted. */
  jumpCount: 124,
  /** `JUMP_RING` entries of two i64: address of an indirect jump, and where it went. */
  jumpRing: 128,
  /** `MAX_FLAG_GROUPS` bytes: the recipe of each group of flags, 0 where the flags are in their places. Zeros but while a region runs. */
  flagRecipes: 640,
  /** `FLAG_OPERANDS` of each group. */
  flagOperands: 656,
  /** i64: address of an access on its way to TypeScript. */
  accessAddress: 1168,
  /** First byte of the architecture's registers. */
  state: 1176,
  /** Size of a context. */
  end: 4096,
} as const;

/** Groups of flags that an architecture can have; a multiple of 8. */
export const MAX_FLAG_GROUPS = 16;

/** What is kept of a group of flags: up to `most` operands of 8 bytes. */
export const FLAG_OPERANDS = { most: 4, bytes: 32 } as const;

/** Entries of `CONTEXT.jumpRing`, a power of two. */
export const JUMP_RING = 32;

/** Address spaces that a load or store can name: 0 is the current one; the meaning of the others is the architecture's. */
export const MAX_SPACES = 8;

/**
 * A data TLB: direct-mapped entries, indexed by the low bits of the page number. Pages whose addend is the TLB's own (`linear`), as most are
 * where a guest maps its memory in one piece, have tags that translated code compares first: it then needs no addend from the entry, which a
 * chain of dependent loads would wait for. Tags are the negated address of the page: an address and the tag add up to an offset, which takes
 * one instruction and register less than a subtraction.
 */
export const DATA_TLB = {
  entries: 1024,
  entryShift: 5,
  /** i64: negated address of the page if it has the linear addend. */
  linearRead: 0,
  /** i64: the same, and writes may use this entry. */
  linearWrite: 8,
  /** i64: negated address of the page. */
  base: 16,
  /** i32: host address minus the low half of the guest address. */
  addend: 24,
  /** i32: not 0 if writes may use this entry. */
  writable: 28,
  /** i32, behind the entries: the linear addend. */
  linear: 1024 << 5,
  bytes: (1024 << 5) + 64,
} as const;

/** An instruction TLB: direct-mapped entries. */
export const INSTRUCTION_TLB = {
  entries: 256,
  entryShift: 4,
  /** i64: address of the page. */
  base: 0,
  /** i32: host address minus the low half of the guest address. */
  addend: 8,
  /** i32: address of an instruction's decode slot minus its host address. */
  delta: 12,
  bytes: 256 << 4,
} as const;

/** Translated regions by their entry point, one hash per instruction TLB. All bits of an empty entry are 1. */
export const REGION_HASH = {
  entries: 4096,
  entryShift: 4,
  /** i64: entry address. */
  address: 0,
  /** i32: table index of the region's function. */
  region: 8,
  /** i32: how often the address was passed; once it has a region, how often others came by that share the entry. */
  heat: 12,
  bytes: 4096 << 4,
} as const;

/** Most instructions of one run: the interpreter counts in bytes of 32 bits. */
export const MAX_BUDGET = 2 ** 30 - 1;

/** Why generated code returned. */
export const EXIT = {
  /** Nothing special: go on at `pc`. */
  none: 0,
  /** The budget is used up. */
  budget: 1,
  /** A memory access or a fetch faulted; the fault was recorded by whoever translated. */
  fault: 2,
  /** An instruction trapped: `exitArgument` is its cause. */
  trap: 3,
  /** The bytes at `pc` are no instruction. */
  undefined: 4,
  /** A helper changed the context; `pc` is what it set. */
  helper: 5,
  /** `pc` was passed often enough to be translated. */
  hot: 6,
  /** The instruction at `pc` has no handler in this interpreter yet. */
  unbuilt: 7,
} as const;
export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** Decode slots with a meaning of their own; instruction handlers follow. */
export const SLOT = {
  /** Not looked at yet. */
  undecoded: 0,
  /** No instruction. */
  undefined: 1,
  /** An instruction whose bytes lie on two pages. */
  crossing: 2,
  /** The end of the execute buffer. */
  executeEnd: 3,
  /** Behind the last instruction of a page. */
  pageEnd: 4,
  firstHandler: 5,
} as const;

/** What the imported `helper` function answers. */
export const HELPER_RESULT = {
  /** The context's pc says where execution goes on. */
  moved: 0,
  /** Go on behind the instruction. */
  goOn: 1,
  /** The instruction is done, but this code must be left behind it: the run ends or the mode changed. */
  stop: 2,
} as const;

/** Result of a region that left for a reason of its own: `CONTEXT.pc` and `CONTEXT.regionExit` are set. No instruction lies there. */
export const REGION_LEFT = -1n;

/** Bits of `Store.hasCode`: what depends on a page's bytes. */
export const CODE = { decoded: 1, translated: 2 } as const;
