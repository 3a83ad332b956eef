import { call, type Expr, i32, i64, localGet } from '../../src/wasm/expr.ts';
import { FunctionBuilder } from '../../src/wasm/function.ts';
import { ModuleBuilder } from '../../src/wasm/module.ts';
import { OP } from '../../src/wasm/opcode.ts';
import { F64, I32, I64, V128 } from '../../src/wasm/types.ts';

/** Modules whose text is kept under `golden/`. Each shows one part of the builder; the tests also run them. */

/** Greatest common divisor, and a search with two ways out of two loops. */
export function controlFlow(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const gcd = new FunctionBuilder([I64, I64], [I64]);
  const [a, b] = [localGet(I64, 0), localGet(I64, 1)];
  gcd.block((done) => {
    gcd.loop((again) => {
      gcd.brIf(i64.eqz(b), done);
      gcd.scope(() => {
        const rest = gcd.let(i64.remU(a, b));
        gcd.set(0, b);
        gcd.set(1, rest);
      });
      gcd.br(again);
    });
  });
  gcd.push(a);
  module.function(gcd, 'gcd');

  // Smallest i*j = n with 2 <= i <= j <= n, as i; 0 if n is prime.
  const factor = new FunctionBuilder([I32], [I32]);
  const n = localGet(I32, 0);
  const i = factor.local(I32);
  const j = factor.local(I32);
  const get = (local: number): Expr<I32> => localGet(I32, local);
  factor.set(i, i32.const(2));
  factor.block((none) => {
    factor.loop((outer) => {
      factor.if(i32.geU(i32.mul(get(i), get(i)), i32.add(n, i32.const(1))), () => factor.br(none));
      factor.set(j, get(i));
      factor.loop((inner) => {
        factor.if(
          i32.eq(i32.mul(get(i), get(j)), n),
          () => factor.return(get(i)),
          () => factor.set(j, i32.add(get(j), i32.const(1))),
        );
        factor.brIf(i32.leU(i32.mul(get(i), get(j)), n), inner);
        factor.set(i, i32.add(get(i), i32.const(1)));
        factor.br(outer);
      });
    });
  });
  factor.push(i32.const(0));
  module.function(factor, 'factor');
  return module.finish();
}

/** A jump table over blocks opened at once: the shape of the interpreter. */
export function jumpTable(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f = new FunctionBuilder([I32], [I32]);
  const steps = f.local(I32);
  const taken = localGet(I32, steps);
  f.block((end) => {
    f.loop((again) => {
      const labels = f.openBlocks(4);
      f.brTable(localGet(I32, 0), labels.slice(0, -1), labels[3]);
      // 0: one step, then as if it had been 2. 1: ten steps, out. 2: a hundred. Else: as 0 after a thousand.
      f.closeBlock();
      f.set(steps, i32.add(taken, i32.const(1)));
      f.set(0, i32.const(2));
      f.br(again);
      f.closeBlock();
      f.set(steps, i32.add(taken, i32.const(10)));
      f.br(end);
      f.closeBlock();
      f.set(steps, i32.add(taken, i32.const(100)));
      f.br(end);
      f.closeBlock();
      f.set(steps, i32.add(taken, i32.const(1000)));
      f.set(0, i32.const(0));
      f.br(again);
    });
  });
  f.push(taken);
  module.function(f, 'walk');
  return module.finish();
}

/** Temporaries of several types, given back by scopes. */
export function locals(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const f = new FunctionBuilder([I64, F64], [I64]);
  const kept = f.local(I64);
  f.scope(() => {
    const x = f.let(i64.add(localGet(I64, 0), i64.const(1)));
    f.temp(F64);
    f.temp(V128);
    f.scope(() => {
      const y = f.let(i64.mul(x, x));
      f.set(kept, i64.sub(y, x));
    });
    // The local of y is free again, that of x is not.
    const z = f.let(i64.shl(x, i64.const(2)));
    f.set(kept, i64.xor(localGet(I64, kept), z));
  });
  f.scope(() => {
    const w = f.let(i64.add(localGet(I64, kept), localGet(I64, 0)));
    const flag = f.let(i64.eqz(w));
    f.if(flag, () => f.return(i64.const(-1)));
    f.set(kept, w);
  });
  f.push(localGet(I64, kept));
  module.function(f, 'mix');
  return module.finish();
}

/** Branches with hints in two of three functions, behind an imported function. */
export function hints(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const slow = module.importFunction('env', 'slow', [I32], [I32]);
  const x = localGet(I32, 0);

  const first = new FunctionBuilder([I32], [I32]);
  first.if(i32.gtU(x, i32.const(100)), () => first.return(call(I32, slow, [x])), undefined, 'unlikely');
  first.push(x);
  module.function(first, 'first');

  const plain = new FunctionBuilder([I32], [I32]);
  plain.push(x);
  module.function(plain, 'plain');

  const second = new FunctionBuilder([I32], [I32]);
  second.scope(() => {
    const y = second.let(i32.add(x, i32.const(1)));
    second.block((out) => {
      second.brIf(i32.ltS(y, i32.const(0)), out, 'likely');
      second.if(i32.eqz(y), () => second.unreachable(), undefined, 'unlikely');
      second.brIf(i32.eq(y, i32.const(7)), out);
    });
    second.push(y);
  });
  module.function(second, 'second');
  return module.finish();
}

/** Every kind of call: direct, for an effect, through the table, and as a tail call through the table. */
export function calls(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', 1, 1);
  module.importTable('env', 'table');
  const log = module.importFunction('env', 'log', [I32, I64], []);
  const pair = module.type([I64, I64], [I64]);

  const sum = new FunctionBuilder([I64, I64], [I64]);
  sum.push(i64.add(localGet(I64, 0), localGet(I64, 1)));
  const sumIndex = module.function(sum, 'sum');

  const logged = new FunctionBuilder([I64], [I64]);
  logged.callStatement(log, [i32.const(1), localGet(I64, 0)]);
  logged.callStatement(sumIndex, [localGet(I64, 0), i64.const(1)]);
  logged.popTo(0);
  logged.push(call(I64, sumIndex, [localGet(I64, 0), call(I64, sumIndex, [i64.const(2), i64.const(3)])]));
  module.function(logged, 'logged');

  const indirect = new FunctionBuilder([I32, I64, I64], [I64]);
  const result = indirect.local(I64);
  indirect.callIndirect(pair, [localGet(I64, 1), localGet(I64, 2)], localGet(I32, 0));
  indirect.popTo(result);
  indirect.store(OP.i64_store, i32.const(8), localGet(I64, result));
  indirect.push(localGet(I64, result));
  module.function(indirect, 'indirect');

  const tail = new FunctionBuilder([I64, I64], [I64]);
  tail.if(i64.eqz(localGet(I64, 0)), () => tail.return(localGet(I64, 1)));
  tail.returnCallIndirect(
    pair,
    [i64.sub(localGet(I64, 0), i64.const(1)), i64.add(localGet(I64, 1), localGet(I64, 0))],
    i32.const(0),
  );
  module.function(tail, 'tail');
  return module.finish();
}
