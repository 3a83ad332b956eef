import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Expr, f32, f64, i32, i64, isBoolean, isConst, localGet, select } from '../../src/wasm/expr.ts';
import { F32, F64, I32, I64, type ValType } from '../../src/wasm/types.ts';
import { binaryenText, instantiate, moduleOf, type TestFunction, type Value } from './harness.ts';
import { constantOf, cornersOf, FLOAT_OPERATIONS, INTEGER_OPERATIONS, type Operation } from './operations.ts';

const SEED = 0xf01d;
const ALL = [...INTEGER_OPERATIONS, ...FLOAT_OPERATIONS];

/** Runs, and gives null for a trap as the references do. */
function attempt(f: () => Value): Value | null {
  try {
    return f();
  } catch (e) {
    if (e instanceof WebAssembly.RuntimeError) return null;
    throw e;
  }
}

function randomOf(type: ValType): fc.Arbitrary<Value> {
  const corner = fc.constantFrom(...cornersOf(type));
  if (type === I32) return fc.oneof(corner, fc.integer());
  if (type === I64) return fc.oneof(corner, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
  return fc.oneof(corner, fc.double());
}

/** Every tuple of corner operands. */
function tuples(params: readonly ValType[]): Value[][] {
  return params.reduce<Value[][]>((all, type) => all.flatMap((t) => cornersOf(type).map((v) => [...t, v])), [[]]);
}

describe('expression constructors', () => {
  const plain = instantiate(
    moduleOf(
      ALL.map((o): TestFunction => ({ name: o.name, params: o.params, result: o.result, body: (p) => o.build(...p) })),
    ),
  );
  const reference = (o: Operation, values: readonly Value[]): Value | null => o.reference(...(values as never[]));
  const execute = (o: Operation, values: readonly Value[]): Value | null => attempt(() => plain[o.name](...values));

  it('are all tested', () => {
    const tested = new Set(ALL.map((o) => o.name));
    const constructors = Object.entries({ i32, i64, f64, f32 }).flatMap(([prefix, library]) =>
      Object.keys(library).map((name) => `${prefix}.${name}`),
    );
    // Constants are what every other test is made of; loads are tested with the memory they read.
    expect(constructors.filter((name) => !tested.has(name) && !/\.(const|load\w*)$/.test(name))).toEqual([]);
  });

  describe.each(ALL.map((o) => [o.name, o] as const))('%s', (_, o) => {
    const check = (values: Value[]): void => {
      const expected = reference(o, values);
      expect({ values, result: execute(o, values) }).toEqual({ values, result: expected });
      const folded = o.build(...values.map((v, i) => constantOf(o.params[i] as ValType, v)));
      if (isConst(folded)) expect({ values, folded: folded.imm }).toEqual({ values, folded: expected });
    };

    it('computes and folds corner operands as specified', () => {
      for (const values of tuples(o.params)) check(values);
    });

    it('computes and folds random operands as specified', () => {
      fc.assert(fc.property(fc.tuple(...o.params.map(randomOf)), check), { seed: SEED, numRuns: 200 });
    });

    it('stays right when some operands are constants', () => {
      // Shortcuts such as x + 0 depend on which side the constant stands, so each side gets every corner value.
      const functions: { f: TestFunction; at: number; value: Value }[] = [];
      o.params.forEach((type, at) => {
        cornersOf(type).forEach((value, i) => {
          const params = o.params.filter((_, j) => j !== at);
          const body = (p: readonly Expr<never>[]): Expr => {
            const operands = [...p];
            operands.splice(at, 0, constantOf(type, value));
            return o.build(...operands);
          };
          functions.push({ at, value, f: { name: `${at}/${i}`, params, result: o.result, body } });
        });
      });
      const exports = instantiate(moduleOf(functions.map((x) => x.f)));
      for (const { f, at, value } of functions) {
        for (const others of tuples(f.params)) {
          const values = [...others];
          values.splice(at, 0, value);
          const result = attempt(() => exports[f.name](...others));
          expect({ values, result }).toEqual({ values, result: reference(o, values) });
        }
      }
    });
  });

  it('make a module that Binaryen accepts, too', () => {
    const text = binaryenText(
      moduleOf(ALL.map((o) => ({ name: o.name, params: o.params, result: o.result, body: (p) => o.build(...p) }))),
    );
    expect(text.match(/\(export /g)).toHaveLength(ALL.length);
  });
});

describe('floating-point bit patterns', () => {
  it('keep the payload of a NaN on the way through a double', () => {
    const exports = instantiate(
      moduleOf([
        {
          name: 'through',
          params: [I64, I32],
          result: I64,
          // The select keeps the two reinterpretations from cancelling out in the constructor.
          body: ([bits, c]) =>
            i64.reinterpretF64(select(c as Expr<I32>, f64.reinterpretI64(bits as Expr<I64>), f64.const(0))),
        },
      ]),
    );
    expect(exports.through(0x7ff0000000000001n, 1)).toBe(0x7ff0000000000001n);
    expect(exports.through(-1n, 1)).toBe(-1n);
  });

  it('cancel a reinterpretation and its inverse', () => {
    const bits = localGet(I64, 0);
    const double = localGet(F64, 0);
    expect(i64.reinterpretF64(f64.reinterpretI64(bits))).toBe(bits);
    expect(f64.reinterpretI64(i64.reinterpretF64(double))).toBe(double);
  });

  it('write a double constant bit for bit', () => {
    const values = cornersOf(F64) as number[];
    const exports = instantiate(
      moduleOf(values.map((v, i) => ({ name: `${i}`, params: [], result: F64, body: () => f64.const(v) }))),
    );
    expect(values.map((_, i) => exports[`${i}`]())).toEqual(values);
    expect(exports['1']()).toBe(-0);
  });

  it('round once from double to single', () => {
    const exports = instantiate(
      moduleOf([
        { name: 'demote', params: [F64], result: F32, body: ([x]) => f32.demoteF64(x as unknown as Expr<F64>) },
      ]),
    );
    // Just above the middle of two floats: rounding twice would go to the even one, 1.
    expect(exports.demote(1 + 2 ** -24 + 2 ** -50)).toBe(1 + 2 ** -23);
  });
});

/** A tree over two i32 and two i64 variables, to be built and evaluated in several ways. */
type Tree =
  | { readonly constant: Value; readonly type: ValType }
  | { readonly variable: number; readonly type: ValType }
  | { readonly operation: Operation; readonly operands: readonly Tree[]; readonly type: ValType };

const VARIABLES: readonly ValType[] = [I32, I32, I64, I64];
const TOTAL = INTEGER_OPERATIONS.filter((o) => !/div|rem/.test(o.name));

function treeOf(type: ValType, depth: number): fc.Arbitrary<Tree> {
  // 0, 1 and -1 often: most simplifications are about them.
  const small = type === I32 ? fc.constantFrom<Value>(0, 1, -1) : fc.constantFrom<Value>(0n, 1n, -1n);
  const leaf = fc.oneof(
    fc.oneof(small, randomOf(type)).map((constant): Tree => ({ constant, type })),
    fc.constantFrom(...VARIABLES.flatMap((t, variable): Tree[] => (t === type ? [{ variable, type }] : []))),
  );
  if (depth === 0) return leaf;
  const inner = fc
    .constantFrom(...TOTAL.filter((o) => o.result === type))
    .chain((operation) =>
      fc
        .tuple(...operation.params.map((t) => treeOf(t, depth - 1)))
        .map((operands): Tree => ({ operation, operands, type })),
    );
  return fc.oneof({ weight: 1, arbitrary: leaf }, { weight: 4, arbitrary: inner });
}

function build(tree: Tree, variable: (n: number) => Expr<never>): Expr<never> {
  if ('constant' in tree) return constantOf(tree.type, tree.constant);
  if ('variable' in tree) return variable(tree.variable);
  return tree.operation.build(...tree.operands.map((t) => build(t, variable))) as Expr<never>;
}

function evaluate(tree: Tree, variables: readonly Value[]): Value {
  if ('constant' in tree) return tree.constant;
  if ('variable' in tree) return variables[tree.variable] as Value;
  return tree.operation.reference(...(tree.operands.map((t) => evaluate(t, variables)) as never[])) as Value;
}

describe('expression trees', () => {
  it('give the same value folded, simplified and executed', () => {
    const variables = fc.tuple(...VARIABLES.map(randomOf));
    fc.assert(
      fc.property(
        fc.constantFrom<ValType>(I32, I64).chain((t) => treeOf(t, 4)),
        fc.array(variables, { minLength: 1, maxLength: 4 }),
        (tree, cases) => {
          const folded = cases.map((values) =>
            build(tree, (n) => constantOf(VARIABLES[n] as ValType, values[n] as Value)),
          );
          const exports = instantiate(
            moduleOf([
              {
                name: 'run',
                params: VARIABLES,
                result: tree.type,
                body: (p) => build(tree, (n) => p[n] as Expr<never>),
              },
              ...folded.map((e, i) => ({ name: `${i}`, params: [], result: tree.type, body: () => e })),
            ]),
          );
          cases.forEach((values, i) => {
            const expected = evaluate(tree, values);
            expect(exports.run(...values)).toBe(expected);
            expect(exports[`${i}`]()).toBe(expected);
            const e = folded[i] as Expr;
            if (isConst(e)) expect(e.imm).toBe(expected);
          });
        },
      ),
      { seed: SEED, numRuns: 1500 },
    );
  });

  it('call only what is 0 or 1 a boolean', () => {
    fc.assert(
      fc.property(treeOf(I32, 3), fc.tuple(...VARIABLES.map(randomOf)), (tree, values) => {
        const e = build(tree, (n) => localGet(VARIABLES[n] as ValType, n) as Expr<never>);
        if (isBoolean(e as unknown as Expr<I32>)) expect([0, 1]).toContain(evaluate(tree, values));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });
});

describe('constants', () => {
  it('wrap to their width, signed', () => {
    expect(i32.const(0xffffffff).imm).toBe(-1);
    expect(i64.const(0xffffffffffffffffn).imm).toBe(-1n);
    expect(i64.const(-1).imm).toBe(-1n);
    expect(i64.const(2 ** 63).imm).toBe(-(2n ** 63n));
  });
});
