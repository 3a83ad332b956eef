import { describe, expect, it } from 'vitest';
import { byteSwap64, type Expr, i32, i64, load, localGet } from '../../src/wasm/expr.ts';
import { FunctionBuilder } from '../../src/wasm/function.ts';
import { ModuleBuilder } from '../../src/wasm/module.ts';
import { OP } from '../../src/wasm/opcode.ts';
import { F64, I32, I64, type ValType } from '../../src/wasm/types.ts';
import { binaryenText, instantiate, type Value } from './harness.ts';

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const view = new DataView(memory.buffer);
const bytes = new Uint8Array(memory.buffer);

interface Load {
  readonly name: string;
  readonly type: ValType;
  readonly load: (address: Expr<I32>, offset?: number) => Expr;
  readonly expected: (at: number) => Value;
}

const narrow64 = (op: number) => (address: Expr<I32>, offset?: number) => load(I64, op, address, offset ?? 0);

const LOADS: readonly Load[] = [
  { name: 'i32.load', type: I32, load: i32.load, expected: (at) => view.getInt32(at, true) },
  { name: 'i32.load8S', type: I32, load: i32.load8S, expected: (at) => view.getInt8(at) },
  { name: 'i32.load8U', type: I32, load: i32.load8U, expected: (at) => view.getUint8(at) },
  { name: 'i32.load16S', type: I32, load: i32.load16S, expected: (at) => view.getInt16(at, true) },
  { name: 'i32.load16U', type: I32, load: i32.load16U, expected: (at) => view.getUint16(at, true) },
  { name: 'i64.load', type: I64, load: i64.load, expected: (at) => view.getBigInt64(at, true) },
  { name: 'i64_load8_s', type: I64, load: narrow64(OP.i64_load8_s), expected: (at) => BigInt(view.getInt8(at)) },
  { name: 'i64_load8_u', type: I64, load: narrow64(OP.i64_load8_u), expected: (at) => BigInt(view.getUint8(at)) },
  {
    name: 'i64_load16_s',
    type: I64,
    load: narrow64(OP.i64_load16_s),
    expected: (at) => BigInt(view.getInt16(at, true)),
  },
  {
    name: 'i64_load16_u',
    type: I64,
    load: narrow64(OP.i64_load16_u),
    expected: (at) => BigInt(view.getUint16(at, true)),
  },
  {
    name: 'i64_load32_s',
    type: I64,
    load: narrow64(OP.i64_load32_s),
    expected: (at) => BigInt(view.getInt32(at, true)),
  },
  {
    name: 'i64_load32_u',
    type: I64,
    load: narrow64(OP.i64_load32_u),
    expected: (at) => BigInt(view.getUint32(at, true)),
  },
  {
    name: 'f64_load',
    type: F64,
    load: (address, offset) => load(F64, OP.f64_load, address, offset ?? 0),
    expected: (at) => view.getFloat64(at, true),
  },
];

const STORES = [
  { name: 'i64_store', op: OP.i64_store, type: I64, size: 8 },
  { name: 'i64_store32', op: OP.i64_store32, type: I64, size: 4 },
  { name: 'i64_store16', op: OP.i64_store16, type: I64, size: 2 },
  { name: 'i64_store8', op: OP.i64_store8, type: I64, size: 1 },
  { name: 'i32_store', op: OP.i32_store, type: I32, size: 4 },
  { name: 'i32_store16', op: OP.i32_store16, type: I32, size: 2 },
  { name: 'i32_store8', op: OP.i32_store8, type: I32, size: 1 },
] as const;

const OFFSETS = [0, 1, 127, 128, 16384];

describe('loads and stores', () => {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', 1, 1);
  for (const l of LOADS) {
    for (const offset of OFFSETS) {
      const b = new FunctionBuilder([I32], [l.type]);
      b.push(l.load(localGet(I32, 0), offset));
      module.function(b, `${l.name}+${offset}`);
    }
    const b = new FunctionBuilder([I32], [l.type]);
    b.push(l.load(localGet(I32, 0)));
    module.function(b, l.name);
  }
  for (const s of STORES) {
    for (const offset of OFFSETS) {
      const b = new FunctionBuilder([I32, s.type], []);
      b.store(s.op, localGet(I32, 0), localGet(s.type, 1), offset);
      module.function(b, `${s.name}+${offset}`);
    }
  }
  const shorthands = new FunctionBuilder([I32], []);
  shorthands.store64(localGet(I32, 0), i64.const(0x1122334455667788n));
  shorthands.store32(localGet(I32, 0), i32.const(0x01020304), 8);
  shorthands.store8(localGet(I32, 0), i32.const(0x1ff), 12);
  module.function(shorthands, 'shorthands');
  const swap = new FunctionBuilder([I32], [I64]);
  swap.push(byteSwap64(swap.let(i64.load(localGet(I32, 0)))));
  module.function(swap, 'swap');
  const finished = module.finish();
  const exports = instantiate(finished, { env: { memory } });

  it('are valid for Binaryen', () => {
    expect(binaryenText(finished)).toMatch(/\(import "env" "memory" \(memory \S+ 1 1\)\)/);
  });

  it('load with sign, width and offset', () => {
    // Every byte pair has another sign, so that a wrong width or extension shows.
    for (let i = 0; i < 32768; i++) bytes[i] = (i * 0x9d + (i >> 8)) & 0xff;
    for (const l of LOADS) {
      for (const at of [0, 1, 2, 3, 77, 1000]) {
        expect(exports[l.name](at)).toEqual(l.expected(at));
        for (const offset of OFFSETS) expect(exports[`${l.name}+${offset}`](at)).toEqual(l.expected(at + offset));
      }
    }
  });

  it('store the low bytes and nothing else', () => {
    for (const s of STORES) {
      for (const offset of OFFSETS) {
        const at = 3;
        bytes.fill(0xee, at + offset - 2, at + offset + 16);
        const value = 0x8877665544332211n;
        exports[`${s.name}+${offset}`](
          at,
          s.type === I64 ? BigInt.asIntN(64, value) : Number(BigInt.asIntN(32, value)),
        );
        const written = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88].slice(0, s.size);
        expect([...bytes.slice(at + offset - 1, at + offset + 9)]).toEqual(
          [0xee, ...written, ...new Array<number>(9).fill(0xee)].slice(0, 10),
        );
      }
    }
  });

  it('have shorthands for registers', () => {
    bytes.fill(0xee, 0, 20);
    exports.shorthands(0);
    expect([...bytes.slice(0, 14)]).toEqual([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 4, 3, 2, 1, 0xff, 0xee]);
  });

  it('read big-endian through a byte swap', () => {
    view.setBigInt64(8, -0x0123456789abcdefn, false);
    expect(exports.swap(8)).toBe(-0x0123456789abcdefn);
  });

  it('trap beyond the end', () => {
    expect(() => exports['i64.load'](65529)).toThrow(WebAssembly.RuntimeError);
    expect(() => exports['i32.load+16384'](65536 - 16384 - 3)).toThrow(WebAssembly.RuntimeError);
    expect(() => exports['i64_store8+0'](65536, 0n)).toThrow(WebAssembly.RuntimeError);
  });
});
