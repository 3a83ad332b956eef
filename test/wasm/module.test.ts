import { describe, expect, it } from 'vitest';
import { type Expr, i32, i64, localGet } from '../../src/wasm/expr.ts';
import { FunctionBuilder } from '../../src/wasm/function.ts';
import { ModuleBuilder } from '../../src/wasm/module.ts';
import { I32, I64 } from '../../src/wasm/types.ts';
import { binaryenText, type Call, instantiate, moduleOf } from './harness.ts';
import * as samples from './samples.ts';

/**
 * The text that Binaryen reads out of our bytes, kept as a file and checked by eye once: `npx vitest run test/wasm -u` writes it anew.
 */
describe('golden texts', () => {
  it.each([
    ['control-flow', samples.controlFlow],
    ['jump-table', samples.jumpTable],
    ['locals', samples.locals],
    ['hints', samples.hints],
    ['calls', samples.calls],
  ])('%s', async (name, sample) => {
    await expect(binaryenText(sample())).toMatchFileSnapshot(`golden/${name}.wat`);
  });
});

describe('control flow', () => {
  it('runs loops and leaves them from the middle', () => {
    const { gcd, factor } = instantiate(samples.controlFlow());
    expect(gcd(2n ** 40n * 3n, 2n ** 20n * 9n)).toBe(2n ** 20n * 3n);
    expect(gcd(17n, 0n)).toBe(17n);
    expect([4, 7, 15, 49, 97, 91].map((n) => factor(n))).toEqual([2, 0, 3, 7, 0, 7]);
  });

  it('jumps by table, out of range to the last label', () => {
    const { walk } = instantiate(samples.jumpTable());
    expect([0, 1, 2, 3, 4, -1].map((n) => walk(n))).toEqual([101, 10, 100, 1101, 1101, 1101]);
  });

  it('decides constant conditions when it builds', () => {
    const b = new FunctionBuilder([], [I32]);
    b.if(
      i32.const(1),
      () => b.push(i32.const(5)),
      () => b.push(i32.const(6)),
    );
    b.if(i32.const(0), () => b.unreachable());
    const module = new ModuleBuilder();
    module.function(b, 'run');
    expect(binaryenText(module.finish())).not.toContain('if');
    expect(instantiate(module.finish()).run()).toBe(5);
  });

  it('passes labels through constant conditions', () => {
    // A decided `if` opens no block, so a branch inside it must count one less.
    const b = new FunctionBuilder([I32], [I32]);
    b.block((out) => {
      b.if(localGet(I32, 0), () => b.if(i32.const(1), () => b.br(out)));
      b.return(i32.const(1));
    });
    b.push(i32.const(2));
    const module = new ModuleBuilder();
    module.function(b, 'run');
    const { run } = instantiate(module.finish());
    expect([run(0), run(1)]).toEqual([1, 2]);
  });
});

describe('locals', () => {
  it('keep values that are still in scope', () => {
    const { mix } = instantiate(samples.locals());
    const expected = (p: bigint): bigint => {
      const x = p + 1n;
      const w = BigInt.asIntN(64, ((x * x - x) ^ (x << 2n)) + p);
      return w === 0n ? -1n : w;
    };
    for (const p of [0n, 1n, -1n, 5n, 123456789n]) expect(mix(p, 0)).toBe(expected(p));
  });

  it('are declared in runs of one type, after the parameters', () => {
    const b = new FunctionBuilder([I32], [I64]);
    expect([b.local(I64), b.local(I64), b.local(I32), b.local(I64)]).toEqual([1, 2, 3, 4]);
    b.push(localGet(I64, 4));
    // Three runs: 2 × i64, 1 × i32, 1 × i64; then local.get 4, end.
    expect([...b.finish().body]).toEqual([3, 2, 0x7e, 1, 0x7f, 1, 0x7e, 0x20, 4, 0x0b]);
  });

  it('reuse temporaries behind their scope only', () => {
    const b = new FunctionBuilder([], []);
    let inner = -1;
    const outer = b.temp(I32);
    b.scope(() => {
      inner = b.temp(I32);
    });
    expect(inner).not.toBe(outer);
    expect(b.temp(I64)).not.toBe(inner);
    expect(b.temp(I32)).toBe(inner);
    expect(b.temp(I32)).not.toBe(outer);
  });

  it('reuse temporaries on a path that does not come back', () => {
    const b = new FunctionBuilder([], []);
    const outer = b.temp(I32);
    let within = -1;
    let extra = -1;
    b.fork(() => {
      within = b.temp(I32);
      extra = b.temp(I32);
    });
    expect(within).toBe(outer);
    // What the path needed beyond that is free behind it, once.
    expect([b.temp(I32), b.temp(I32)]).toEqual([extra, extra + 1]);
  });

  it('name constants by themselves', () => {
    const b = new FunctionBuilder([], []);
    const five = i64.const(5);
    expect(b.let(five)).toBe(five);
    expect(b.code.length).toBe(0);
  });

  it('skip a copy to itself', () => {
    const b = new FunctionBuilder([I32], []);
    b.set(0, localGet(I32, 0));
    expect(b.code.length).toBe(0);
  });
});

describe('calls', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 4 });
  const logged: unknown[][] = [];
  const exports = instantiate(samples.calls(), {
    env: { memory, table, log: (...args: unknown[]) => void logged.push(args) },
  });

  it('reach imports and functions of the module', () => {
    expect(exports.logged(10n)).toBe(16n);
    expect(logged).toEqual([[1, 10n]]);
  });

  it('reach functions in the table', () => {
    table.set(2, exports.sum as WebAssembly.ExportedFunction);
    expect(exports.indirect(2, 30n, 12n)).toBe(42n);
    expect(new DataView(memory.buffer).getBigInt64(8, true)).toBe(42n);
    expect(() => exports.indirect(1, 0n, 0n)).toThrow(WebAssembly.RuntimeError);
  });

  it('leave by tail calls, which need no stack', () => {
    table.set(0, exports.tail as WebAssembly.ExportedFunction);
    expect(exports.tail(1_000_000n, 0n)).toBe(500000500000n);
  });
});

interface Section {
  readonly id: number;
  readonly start: number;
  readonly content: Uint8Array;
}

function readU32(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] as number;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

function sections(bytes: Uint8Array): Section[] {
  const found: Section[] = [];
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at] as number;
    const [length, start] = readU32(bytes, at + 1);
    found.push({ id, start, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  expect(at).toBe(bytes.length);
  return found;
}

describe('module layout', () => {
  it('has sections in the order of the specification, branch hints before the code', () => {
    expect(sections(samples.hints()).map((s) => s.id)).toEqual([1, 2, 3, 7, 0, 10]);
    expect(sections(samples.controlFlow()).map((s) => s.id)).toEqual([1, 2, 3, 7, 10]);
  });

  it('places each hint on its branch', () => {
    const all = sections(samples.hints());
    const custom = all.find((s) => s.id === 0)?.content as Uint8Array;
    const code = all.find((s) => s.id === 10)?.content as Uint8Array;

    // Bodies by function index; function 0 is the import.
    const bodies = new Map<number, Uint8Array>();
    let [count, at] = readU32(code, 0);
    for (let i = 1; i <= count; i++) {
      const [length, start] = readU32(code, at);
      bodies.set(i, code.subarray(start, start + length));
      at = start + length;
    }

    const [nameLength, nameStart] = readU32(custom, 0);
    expect(new TextDecoder().decode(custom.subarray(nameStart, nameStart + nameLength))).toBe(
      'metadata.code.branch_hint',
    );
    const found: { f: number; opcode: number; likely: number }[] = [];
    [count, at] = readU32(custom, nameStart + nameLength);
    for (let n = count; n > 0; n--) {
      let f: number;
      let hints: number;
      [f, at] = readU32(custom, at);
      [hints, at] = readU32(custom, at);
      let last = -1;
      for (; hints > 0; hints--) {
        let offset: number;
        [offset, at] = readU32(custom, at);
        expect(custom[at]).toBe(1);
        expect(offset).toBeGreaterThan(last);
        last = offset;
        found.push({ f, opcode: (bodies.get(f) as Uint8Array)[offset] as number, likely: custom[at + 1] as number });
        at += 2;
      }
    }
    expect(at).toBe(custom.length);
    // `if` is 0x04, `br_if` 0x0d. The function without hints is not listed, the branch without a hint neither.
    expect(found).toEqual([
      { f: 1, opcode: 0x04, likely: 0 },
      { f: 3, opcode: 0x0d, likely: 1 },
      { f: 3, opcode: 0x04, likely: 0 },
    ]);
  });

  it('lists each function type once', () => {
    const module = new ModuleBuilder();
    expect([
      module.type([I32], [I64]),
      module.type([I32, I64], []),
      module.type([I32], [I64]),
      module.type([], [I32, I64]),
    ]).toEqual([0, 1, 0, 2]);
  });

  it('refuses an import behind a function, whose index would move', () => {
    const module = new ModuleBuilder();
    module.function(new FunctionBuilder([], []));
    expect(() => module.importFunction('env', 'late', [], [])).toThrow('import of late after the first function');
  });

  it('refuses leaves that nobody lowers', () => {
    const b = new FunctionBuilder([], []);
    const leaf = { ...localGet(I32, 0), op: -3 } as Expr<I32>;
    expect(() => b.push(leaf)).toThrow('leaf -3 has no lowering');
  });

  it('holds thousands of functions and long bodies', () => {
    const count = 3000;
    const bytes = moduleOf(
      Array.from({ length: count }, (_, i) => ({
        name: `f${i}`,
        params: [I64],
        result: I64,
        body: ([p]: readonly Expr<never>[]) => {
          let e = p as unknown as Expr<I64>;
          for (let k = 0; k < 40; k++) e = i64.add(i64.mul(e, i64.const(BigInt(i + 3))), i64.const(BigInt(k + 1)));
          return e;
        },
      })),
    );
    const exports = instantiate(bytes);
    const expected = (i: number): bigint => {
      let v = 1n;
      for (let k = 0; k < 40; k++) v = BigInt.asIntN(64, v * BigInt(i + 3) + BigInt(k + 1));
      return v;
    };
    for (const i of [0, 127, 128, count - 1]) expect((exports[`f${i}`] as Call)(1n)).toBe(expected(i));
  });
});
