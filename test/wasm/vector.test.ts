import binaryen from 'binaryen';
import { describe, expect, it } from 'vitest';
import { i32, localGet, v128 } from '../../src/wasm/expr.ts';
import { FunctionBuilder } from '../../src/wasm/function.ts';
import { ModuleBuilder } from '../../src/wasm/module.ts';
import { I32, V128 } from '../../src/wasm/types.ts';

/** `xor(a, b, to)`: 16 bytes at `to + 32` become those at `a + 1` and `b + 5`, one XOR the other; by way of a local. */
function xorModule(): Uint8Array<ArrayBuffer> {
  const f = new FunctionBuilder([I32, I32, I32], []);
  const [a, b, to] = [0, 1, 2].map((n) => localGet(I32, n));
  const sum = f.local(V128);
  f.set(sum, v128.xor(v128.load(a, 1), v128.load(i32.add(b, i32.const(5)))));
  f.store128(to, localGet(V128, sum), 32);
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', 1, 1);
  module.function(f, 'xor');
  return module.finish();
}

describe('128-bit loads, stores and XOR', () => {
  it('binaryen reads the module back and finds it valid', () => {
    const module = binaryen.readBinary(xorModule());
    module.setFeatures(binaryen.Features.All);
    expect(module.validate()).toBe(1);
    expect(module.emitText()).toMatch(/v128\.xor[\s\S]*v128\.load offset=1 align=1/);
  });

  it('works at addresses without alignment', () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(xorModule()), { env: { memory } });
    const bytes = new Uint8Array(memory.buffer);
    for (let i = 0; i < 256; i++) bytes[i] = (i * 37 + 11) & 0xff;
    const before = bytes.slice(0, 256);
    (exports.xor as (a: number, b: number, to: number) => void)(10, 100, 150);
    for (let i = 0; i < 16; i++) expect(bytes[182 + i]).toBe(before[11 + i] ^ before[105 + i]);
    expect(bytes.subarray(0, 182)).toEqual(before.subarray(0, 182));
    expect(bytes.subarray(198, 256)).toEqual(before.subarray(198, 256));
  });
});
