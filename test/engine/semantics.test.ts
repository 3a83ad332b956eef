import { describe, expect, it } from 'vitest';
import { Instruction } from '../../src/engine/instruction.ts';
import { buildInterpreter, HandlerTable } from '../../src/engine/interpreter.ts';
import { CONTEXT, SLOT } from '../../src/engine/layout.ts';
import type { Semantics } from '../../src/engine/semantics.ts';
import { constantMeaning, type Meaning, runtimeMeaning, splitCombinations } from '../../src/engine/specialize.ts';
import { StateLayout } from '../../src/engine/state.ts';
import { i32, i64 } from '../../src/wasm/expr.ts';
import { binaryenText } from '../wasm/harness.ts';
import { flags, oldPc, registers, type ToyMode, ticks, toyIsa, toyState, WIDE } from './toy-isa.ts';

type S = Semantics<ToyMode>;

const define = (meaning: (s: S) => void, split: string[] = []): Instruction<ToyMode> =>
  new Instruction({ name: 'probe', encoding: '00000000 A:4 B:4', operands: '', split, meaning });

/** Both ways to speak a meaning: with fields known and with fields at run time. */
const SPOKEN: [string, (meaning: (s: S) => void) => Meaning][] = [
  ['runtime fields', (meaning) => runtimeMeaning(WIDE, define(meaning), [])],
  ['constant fields', (meaning) => constantMeaning(WIDE, define(meaning), 0x0012, 0, 0x1000n)],
];

describe.each(SPOKEN)('a definition, %s', (_, speak) => {
  const r = (s: S, name: string) => s.getAt(registers, s.field(name));

  it('may not use what it read from a register that it has written since', () => {
    expect(() =>
      speak((s) => {
        const before = s.get(oldPc);
        s.set(oldPc, i64.const(1));
        s.set(registers.slots[3], before);
      }),
    ).toThrow("probe: a register's value is used after the register was written");
  });

  it('may not use it inside an expression, an address, a condition or a jump either', () => {
    const uses: ((s: S) => void)[] = [
      (s) => s.let(i64.add(i64.const(1), i64.neg(s.get(oldPc)))),
      (s) => s.load(s.get(oldPc), 8),
      (s) => s.store(s.get(oldPc), 8, i64.const(0)),
      (s) => s.store(i64.const(0), 8, s.get(oldPc)),
      (s) => s.if(i64.eqz(s.get(oldPc)), () => {}),
      (s) => s.jump(s.get(oldPc), { how: 'indirect' }),
      (s) => s.jump(i64.const(0), { how: 'direct', condition: i64.eqz(s.get(oldPc)) }),
      (s) => s.trap(1, i32.wrap(s.get(oldPc))),
      (s) => s.helper(1, i32.wrap(s.get(oldPc))),
      (s) => s.helper(1, i32.const(0), i32.wrap(s.get(oldPc))),
      (s) => s.execute(s.get(oldPc)),
      (s) => s.setAt(registers, s.field('A'), s.get(oldPc)),
    ];
    for (const use of uses) {
      // Reading first and writing in between is the mistake; the same use of a fresh value is right.
      expect(() => speak(use)).not.toThrow();
      expect(() =>
        speak((s) => {
          const stale = s.get(oldPc);
          s.set(oldPc, i64.const(1));
          const lying = new Proxy(s, {
            get: (target, key) => {
              const member = target[key as keyof S] as unknown;
              if (key === 'get') return () => stale;
              return typeof member === 'function' ? member.bind(target) : member;
            },
          });
          use(lying);
        }),
      ).toThrow(/is used after/);
    }
  });

  it('may not use a numbered register after any of its file was written', () => {
    expect(() =>
      speak((s) => {
        const value = r(s, 'A');
        s.setAt(registers, s.field('A'), i64.const(0));
        s.setAt(registers, s.field('B'), value);
      }),
    ).toThrow(/is used after/);
  });

  it('may use a let-bound value, and what it read from other registers', () => {
    expect(() =>
      speak((s) => {
        const value = s.let(r(s, 'A'));
        const other = s.get(ticks);
        s.setAt(registers, s.field('A'), i64.const(0));
        s.setAt(registers, s.field('B'), value);
        s.set(flags.slots[0], i32.eqz(other));
      }),
    ).not.toThrow();
  });

  it('may not use behind an `if` what one of its branches wrote', () => {
    expect(() =>
      speak((s) => {
        const value = s.get(oldPc);
        s.if(i32.eqz(s.get(ticks)), () => s.set(oldPc, i64.const(0)));
        s.set(registers.slots[0], value);
      }),
    ).toThrow(/is used after/);
  });

  it('says a known condition at once', () => {
    const { statements } = speak((s) => {
      s.if(
        i32.const(1),
        () => s.set(ticks, i32.const(1)),
        () => s.trap(1),
      );
      s.if(
        i32.const(0),
        () => s.trap(2),
        () => s.set(ticks, i32.const(3)),
      );
      s.jump(i64.const(0), { how: 'direct', condition: i32.const(0) });
    });
    expect(statements.map((x) => x.kind)).toEqual(['set', 'set']);
  });

  it('ends with its jump, helper or executed instruction', () => {
    const ends: [string, (s: S) => void][] = [
      ['jump', (s) => s.jump(i64.const(0), { how: 'direct', condition: s.get(ticks) })],
      ['helper', (s) => s.helper(1)],
      ['execute', (s) => s.execute(i64.const(0))],
    ];
    for (const [kind, end] of ends) {
      expect(() => speak(end)).not.toThrow();
      expect(() =>
        speak((s) => {
          end(s);
          s.set(ticks, i32.const(1));
        }),
      ).toThrow(`probe: a set follows a ${kind}`);
      expect(() => speak((s) => s.if(s.get(ticks), () => end(s)))).toThrow(`probe: a ${kind} stands inside an if`);
      // A condition that is known is no `if`.
      expect(() => speak((s) => s.if(i32.const(1), () => end(s)))).not.toThrow();
    }
  });

  it('names the field that does not exist', () => {
    expect(() => speak((s) => void s.field('C'))).toThrow('probe has no field C');
  });
});

describe('a numbered register and the same register by name', () => {
  it('are one: writing one makes a reading of the other stale', () => {
    const named = (s: S): void => {
      const value = s.getAt(registers, s.field('A'));
      s.set(registers.slots[5], i64.const(0));
      s.set(oldPc, value);
    };
    // Which register A is, is not known here, so it might be number 5.
    expect(() => runtimeMeaning(WIDE, define(named), [])).toThrow(/a r value is used after a r was written/);
    // Here it is known to be 1.
    expect(() => constantMeaning(WIDE, define(named), 0x0012, 0, 0n)).not.toThrow();
    expect(() => constantMeaning(WIDE, define(named), 0x0052, 0, 0n)).toThrow(/is used after/);

    const numbered = (s: S): void => {
      const value = s.get(registers.slots[5]);
      s.setAt(registers, s.field('A'), i64.const(0));
      s.set(oldPc, value);
    };
    expect(() => runtimeMeaning(WIDE, define(numbered), [])).toThrow(/is used after/);
    expect(() => constantMeaning(WIDE, define(numbered), 0x0012, 0, 0n)).not.toThrow();
  });

  it('of another file are two', () => {
    const meaning = (s: S): void => {
      const value = s.getAt(flags, i32.and(s.field('A'), i32.const(3)));
      s.setAt(registers, s.field('A'), i64.const(0));
      s.set(ticks, value);
    };
    expect(() => runtimeMeaning(WIDE, define(meaning), [])).not.toThrow();
  });
});

describe('split fields', () => {
  it('are known numbers, one meaning for each', () => {
    const seen: (number | undefined)[] = [];
    const probe = define((s) => void seen.push(s.split('A')), ['A']);
    for (const values of splitCombinations(probe)) runtimeMeaning(WIDE, probe, values);
    expect(seen).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });

  it('on zero are known in one of two meanings', () => {
    const seen: (number | undefined)[] = [];
    const probe = define((s) => void seen.push(s.known(s.field('A'))), ['A=0']);
    for (const values of splitCombinations(probe)) runtimeMeaning(WIDE, probe, values);
    expect(seen).toEqual([undefined, 0]);
  });

  it('combine', () => {
    expect(splitCombinations(define(() => {}, ['A=0', 'B']))).toHaveLength(32);
  });

  it('must be announced', () => {
    expect(() =>
      runtimeMeaning(
        WIDE,
        define((s) => void s.split('A')),
        [],
      ),
    ).toThrow('probe: field A must be split');
    // Where all fields are known, nobody could tell: the interpreter is built first, and says it.
    expect(() =>
      constantMeaning(
        WIDE,
        define((s) => void s.split('A')),
        0x0012,
        0,
        0n,
      ),
    ).not.toThrow();
  });
});

describe('signed fields', () => {
  it('extend from their own width', () => {
    const values: number[] = [];
    const probe = define((s) => void values.push(s.known(s.signedField('A')) ?? Number.NaN));
    for (const a of [0, 7, 8, 15]) constantMeaning(WIDE, probe, a << 4, 0, 0n);
    expect(values).toEqual([0, 7, -8, -1]);
  });
});

describe('handlers of the toy', () => {
  const table = new HandlerTable(toyIsa);

  it('are as many as the split fields say', () => {
    const count = (name: string): number => table.handlers.filter((h) => h.instruction.name === name).length;
    expect([count('add'), count('ld'), count('bc'), count('inc'), count('trap')]).toEqual([1, 8, 32, 16, 2]);
  });

  it('are chosen by the instruction word', () => {
    const handler = (head: number): string => {
      const h = table.handlers[table.slotOf(head, 0) - SLOT.firstHandler];
      return `${h.instruction.name} ${h.values.join()}`;
    };
    // ld size 2 with base 7, and with base 0.
    expect(handler(0x52170010)).toBe('ld 2,0');
    expect(handler(0x52100010)).toBe('ld 2,1');
    expect(handler(0x0d930000)).toBe('inc 9');
    expect(handler(0x81500000)).toBe('bc 1,5');
    expect(table.slotOf(0xffffffff, 0xffff)).toBe(1);
  });

  it.each([false, true])('make a module that Binaryen accepts; translate: %s', (translate) => {
    const bytes = buildInterpreter(new HandlerTable(toyIsa), toyState, WIDE, 16, { translate, hotThreshold: 10 });
    expect(binaryenText(bytes)).toContain('br_table');
  });
});

describe('state layouts', () => {
  it('align every register to its width', () => {
    const layout = new StateLayout();
    const a = layout.flag('a');
    const b = layout.i64('b');
    const c = layout.flag('c');
    const d = layout.i32('d');
    const e = layout.flagFile('e', 3);
    const f = layout.i64File('f', 2);
    expect([a, b, c, d].map((s) => s.offset - a.offset)).toEqual([0, 8, 16, 20]);
    expect(e.slots.map((s) => s.offset - a.offset)).toEqual([24, 25, 26]);
    expect(f.slots.map((s) => s.offset - a.offset)).toEqual([32, 40]);
    expect([e.offset, f.offset]).toEqual([e.slots[0].offset, f.slots[0].offset]);
    expect(layout.slots.map((s) => s.index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(layout.slots.map((s) => s.name)).toEqual(['a', 'b', 'c', 'd', 'e0', 'e1', 'e2', 'f0', 'f1']);
  });

  it('refuse more than a context holds', () => {
    const layout = new StateLayout();
    const room = (CONTEXT.end - CONTEXT.state) / 8;
    layout.i64File('v', room);
    expect(() => layout.flag('one')).toThrow('CPU state one does not fit a context of 4096 bytes');
  });
});
