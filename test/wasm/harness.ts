import binaryen from 'binaryen';
import { type Expr, localGet } from '../../src/wasm/expr.ts';
import { FunctionBuilder } from '../../src/wasm/function.ts';
import { ModuleBuilder } from '../../src/wasm/module.ts';
import { F32, F64, I32, I64, type ValType } from '../../src/wasm/types.ts';

/** A value as the WebAssembly JavaScript API passes it: bigint for i64, number otherwise. */
export type Value = number | bigint;
export type Call = (...args: Value[]) => Value;

/** A function for a test module: what it computes from its parameters. */
export interface TestFunction {
  readonly name: string;
  readonly params: readonly ValType[];
  readonly result: ValType;
  readonly body: (params: readonly Expr<never>[]) => Expr;
}

/** One module with all the functions, none of which sees memory. */
export function moduleOf(functions: readonly TestFunction[]): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  for (const f of functions) {
    const builder = new FunctionBuilder(f.params, [f.result]);
    builder.push(f.body(f.params.map((type, i) => localGet(type, i) as Expr<never>)));
    module.function(builder, f.name);
  }
  return module.finish();
}

export function instantiate(bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports = {}): Record<string, Call> {
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports as Record<string, Call>;
}

// Version 132 takes the features as a second argument, which its own typings do not know.
const readBinary = binaryen.readBinary as (bytes: Uint8Array, features: number) => binaryen.Module;

/** What Binaryen, which shares no code with V8 or us, reads from a module. Throws where it finds the module invalid. */
export function binaryenText(bytes: Uint8Array): string {
  const module = readBinary(bytes, binaryen.Features.All);
  try {
    if (module.validate() !== 1) throw new Error('Binaryen finds the module invalid');
    return module.emitText();
  } finally {
    module.dispose();
  }
}

export const typeName = (type: ValType): string =>
  ({ [I32]: 'i32', [I64]: 'i64', [F32]: 'f32', [F64]: 'f64' })[type as number] ?? 'v128';

/** Operands where carries, signs, shift counts and widths change. */
export const CORNERS_32: readonly number[] = [
  0, 1, -1, 2, 7, 8, 31, 32, 33, 63, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x12345678, 0x7fffffff, -0x80000000, -2,
  -128,
];
export const CORNERS_64: readonly bigint[] = [
  0n,
  1n,
  -1n,
  2n,
  31n,
  32n,
  33n,
  63n,
  64n,
  65n,
  0x7fn,
  0x80n,
  0x8000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  -0x80000000n,
  -0x80000001n,
  0x0123456789abcdefn,
  0x7fffffffffffffffn,
  -0x8000000000000000n,
  -2n,
  -64n,
];
export const CORNERS_F64: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  4503599627370495.5,
  4503599627370497,
  1e308,
  -1e308,
  5e-324,
  2 ** 63,
  -(2 ** 63),
  3.4e38,
  1e-46,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
];
