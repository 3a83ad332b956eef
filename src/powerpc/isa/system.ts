import { i32, i64 } from '../../wasm/expr.ts';
import { define, low, type PowerInstruction, reg, type S, setReg, sext, simm, type W } from './common.ts';
import { trapCondition } from './fixed-compare.ts';
import { HELPER, TRAP } from './helpers.ts';
import { address } from './load-store.ts';
import { ca, ca32, ctr, lr, ov, ov32, so, stringCount } from './state.ts';

/** Trap, system, storage control and special purpose register instructions (Power ISA 3.0B, books I to III). */

function trap(name: string, text: { encoding: string; operands: string }, holds: (s: S) => W): PowerInstruction {
  return define({ name, ...text, meaning: (s) => s.if(holds(s), () => s.trap(TRAP.trap)) });
}

const TRAPS: readonly PowerInstruction[] = [
  trap('twi', { encoding: '000011 TO:5 RA:5 SI:16', operands: '{TO},{RA},{SI}' }, (s) =>
    trapCondition(s, sext(reg(s, 'RA')), simm(s, 'SI')),
  ),
  trap('tdi', { encoding: '000010 TO:5 RA:5 SI:16', operands: '{TO},{RA},{SI}' }, (s) =>
    trapCondition(s, reg(s, 'RA'), simm(s, 'SI')),
  ),
  trap('tw', { encoding: '011111 TO:5 RA:5 RB:5 0000000100 0', operands: '{TO},{RA},{RB}' }, (s) =>
    trapCondition(s, sext(reg(s, 'RA')), sext(reg(s, 'RB'))),
  ),
  trap('td', { encoding: '011111 TO:5 RA:5 RB:5 0001000100 0', operands: '{TO},{RA},{RB}' }, (s) =>
    trapCondition(s, reg(s, 'RA'), reg(s, 'RB')),
  ),
];

/** An SPR number as it stands in mtspr and mfspr: its two halves exchanged. */
function sprBits(number: number): string {
  const bits = number.toString(2).padStart(10, '0');
  return bits.slice(5) + bits.slice(0, 5);
}

const sprNumber = (s: S): W => i32.or(i32.shl(s.field('sprh'), i32.const(5)), s.field('sprl'));

/** SPRs that every program uses, without a detour through TypeScript. */
const FAST_SPRS = [
  { suffix: 'lr', number: 8, slot: lr },
  { suffix: 'ctr', number: 9, slot: ctr },
] as const;

const XER_FLAGS = [
  [so, 31],
  [ov, 30],
  [ca, 29],
  [ov32, 19],
  [ca32, 18],
] as const;

const SPECIAL: readonly PowerInstruction[] = [
  ...FAST_SPRS.flatMap(({ suffix, number, slot }) => [
    define({
      name: `mf${suffix}`,
      encoding: `011111 RT:5 ${sprBits(number)} 0101010011 0`,
      operands: '{RT}',
      meaning: (s) => setReg(s, 'RT', s.get(slot)),
    }),
    define({
      name: `mt${suffix}`,
      encoding: `011111 RS:5 ${sprBits(number)} 0111010011 0`,
      operands: '{RS}',
      meaning: (s) => s.set(slot, reg(s, 'RS')),
    }),
  ]),
  define({
    name: 'mfxer',
    encoding: `011111 RT:5 ${sprBits(1)} 0101010011 0`,
    operands: '{RT}',
    meaning(s) {
      let value: W = s.get(stringCount);
      for (const [flag, position] of XER_FLAGS) value = i32.or(value, i32.shl(s.get(flag), i32.const(position)));
      setReg(s, 'RT', i64.extendU(value));
    },
  }),
  define({
    name: 'mtxer',
    encoding: `011111 RS:5 ${sprBits(1)} 0111010011 0`,
    operands: '{RS}',
    meaning(s) {
      const value = s.let(low(reg(s, 'RS')));
      for (const [flag, position] of XER_FLAGS) {
        s.set(flag, i32.and(i32.shrU(value, i32.const(position)), i32.const(1)));
      }
      s.set(stringCount, i32.and(value, i32.const(0x7f)));
    },
  }),
  define({
    name: 'mfspr',
    encoding: '011111 RT:5 sprl:5 sprh:5 0101010011 0',
    operands: '{RT},{SPR}',
    meaning: (s) => s.helper(HELPER.mfspr, s.field('RT'), sprNumber(s)),
  }),
  define({
    name: 'mftb',
    encoding: '011111 RT:5 sprl:5 sprh:5 0101110011 0',
    operands: '{RT},{SPR}',
    meaning: (s) => s.helper(HELPER.mfspr, s.field('RT'), sprNumber(s)),
  }),
  define({
    name: 'mtspr',
    encoding: '011111 RS:5 sprl:5 sprh:5 0111010011 0',
    operands: '{SPR},{RS}',
    meaning: (s) => s.helper(HELPER.mtspr, s.field('RS'), sprNumber(s)),
  }),
];

function helped(
  name: string,
  encoding: string,
  operands: string,
  helper: number,
  a?: (s: S) => W,
  b?: (s: S) => W,
): PowerInstruction {
  return define({ name, encoding, operands, meaning: (s) => s.helper(helper, a?.(s), b?.(s)) });
}

const f =
  (name: string) =>
  (s: S): W =>
    s.field(name);

/** The fields of a tlbie as the CPU model wants them: RS, RB, RIC, PRS, R. */
const invalidation = (s: S): W =>
  ['RS', 'RB', 'RIC', 'PRS', 'R'].reduce<W>(
    (word, name, i) => i32.or(word, i32.shl(s.field(name), i32.const([0, 5, 10, 12, 13][i] as number))),
    i32.const(0),
  );

const PRIVILEGED: readonly PowerInstruction[] = [
  helped('mfmsr', '011111 RT:5 00000 00000 0001010011 0', '{RT}', HELPER.mfmsr, f('RT')),
  helped('mtmsr', '011111 RS:5 0000 L:1 00000 0010010010 0', '{RS},{L}', HELPER.mtmsr, f('RS'), f('L')),
  helped('mtmsrd', '011111 RS:5 0000 L:1 00000 0010110010 0', '{RS},{L}', HELPER.mtmsrd, f('RS'), f('L')),
  helped('rfid', '010011 00000 00000 00000 0000010010 0', '', HELPER.rfid),
  helped('hrfid', '010011 00000 00000 00000 0100010010 0', '', HELPER.hrfid),
  helped('urfid', '010011 00000 00000 00000 0100110010 0', '', HELPER.urfid),
  helped('rfscv', '010011 00000 00000 00000 0001010010 0', '', HELPER.rfscv),
  helped('stop', '010011 00000 00000 00000 0101110010 0', '', HELPER.stop),
  helped('sc', '010001 00000 00000 .4 LEV:7 .3 1 0', '{LEV}', HELPER.sc, f('LEV')),
  helped('scv', '010001 00000 00000 .4 LEV:7 .3 0 1', '{LEV}', HELPER.scv, f('LEV')),
  helped('wait', '011111 000 WC:2 00000 00000 0000011110 0', '{WC}', HELPER.wait, f('WC')),
  helped('darn', '011111 RT:5 000 L:2 00000 1011110011 0', '{RT},{L}', HELPER.darn, f('RT'), f('L')),
  helped('attn', '000000 .15 0100000000 0', '', HELPER.attn),
  helped(
    'tlbie',
    '011111 RS:5 0 RIC:2 PRS:1 R:1 RB:5 0100110010 0',
    '{RB},{RS},{RIC},{PRS},{R}',
    HELPER.tlbie,
    invalidation,
  ),
  helped(
    'tlbiel',
    '011111 RS:5 0 RIC:2 PRS:1 R:1 RB:5 0100010010 0',
    '{RB},{RS},{RIC},{PRS},{R}',
    HELPER.tlbiel,
    invalidation,
  ),
  helped('tlbsync', '011111 00000 00000 00000 1000110110 0', '', HELPER.synchronize, () => i32.const(0)),
  helped('slbsync', '011111 00000 00000 00000 0101010010 0', '', HELPER.synchronize, () => i32.const(1)),
  helped('msgsync', '011111 00000 00000 00000 1101110110 0', '', HELPER.synchronize, () => i32.const(2)),
  helped('slbia', '011111 00 IH:3 00000 00000 0111110010 0', '{IH}', HELPER.slb),
  helped('slbie', '011111 00000 00000 RB:5 0110110010 0', '{RB}', HELPER.slb),
  helped('slbmte', '011111 RS:5 00000 RB:5 0110010010 0', '{RS},{RB}', HELPER.slb),
  helped('slbmfee', '011111 RT:5 00000 RB:5 1110010011 0', '{RT},{RB}', HELPER.slb),
  helped('slbmfev', '011111 RT:5 00000 RB:5 1101010011 0', '{RT},{RB}', HELPER.slb),
  helped('msgsnd', '011111 00000 00000 RB:5 0011001110 0', '{RB}', HELPER.message, () => i32.const(0), f('RB')),
  helped('msgclr', '011111 00000 00000 RB:5 0011101110 0', '{RB}', HELPER.message, () => i32.const(1), f('RB')),
  helped('msgsndp', '011111 00000 00000 RB:5 0010001110 0', '{RB}', HELPER.message, () => i32.const(2), f('RB')),
  helped('msgclrp', '011111 00000 00000 RB:5 0010101110 0', '{RB}', HELPER.message, () => i32.const(3), f('RB')),
];

/**
 * Instructions whose effects do not show here: caches are coherent, execution is in order, and a store over an instruction is noticed at once.
 */
const NOTHING: readonly (readonly [name: string, encoding: string, operands: string])[] = [
  ['isync', '010011 00000 00000 00000 0010010110 0', ''],
  ['sync', '011111 000 L:2 00000 00000 1001010110 0', '{L}'],
  // Bit 6 is reserved in the ISA. POWER9 takes it for a barrier to store forwarding, which Linux has at each entry and exit of the kernel.
  ['eieio', '011111 .1 0000 00000 00000 1101010110 0', ''],
  ['cpabort', '011111 00000 00000 00000 1101000110 0', ''],
  ['icbt', '011111 0 CT:4 RA:5 RB:5 0000010110 0', '{CT},{RA},{RB}'],
  ['dcbt', '011111 TH:5 RA:5 RB:5 0100010110 0', '{RA},{RB},{TH}'],
  ['dcbtst', '011111 TH:5 RA:5 RB:5 0011110110 0', '{RA},{RB},{TH}'],
];

/** The same, but that they fault where a load would (book III, 5.7.14). */
const TOUCHING: readonly (readonly [name: string, encoding: string, operands: string])[] = [
  ['icbi', '011111 00000 RA:5 RB:5 1111010110 0', '{RA},{RB}'],
  ['dcbst', '011111 00000 RA:5 RB:5 0000110110 0', '{RA},{RB}'],
  ['dcbf', '011111 000 L:2 RA:5 RB:5 0001010110 0', '{RA},{RB},{L}'],
];

const CACHE_BLOCK = 128;

const STORAGE_CONTROL: readonly PowerInstruction[] = [
  ...NOTHING.map(([name, encoding, operands]) => define({ name, encoding, operands, meaning: () => {} })),
  ...TOUCHING.map(([name, encoding, operands]) =>
    define({
      name,
      encoding,
      operands,
      meaning(s) {
        s.load(address(s, 'X', false), 1);
      },
    }),
  ),
  define({
    name: 'dcbz',
    encoding: '011111 00000 RA:5 RB:5 1111110110 0',
    operands: '{RA},{RB}',
    meaning(s) {
      // The block is aligned, so if the first store does not fault none does.
      const block = s.let(i64.and(address(s, 'X', false), i64.const(-CACHE_BLOCK)));
      for (let at = 0; at < CACHE_BLOCK; at += 8) {
        s.store(s.let(i64.add(block, i64.const(at))), 8, i64.const(0));
      }
    },
  }),
];

export const SYSTEM: readonly PowerInstruction[] = [...TRAPS, ...SPECIAL, ...PRIVILEGED, ...STORAGE_CONTROL];
