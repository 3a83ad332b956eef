import type { AccessSize } from '../../engine/ir.ts';
import type { Expr } from '../../wasm/expr.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import {
  address,
  type D,
  define,
  gr,
  immediate,
  load,
  low,
  relative,
  type S,
  type S390Instruction,
  setGr,
  sext,
  store,
} from './common.ts';
import { setConditions } from './condition.ts';
import type { Format } from './formats.ts';
import { operand, relativeAddress, type Source, W32, W64, type Width } from './width.ts';

/** Loads and stores of one register, and loads from registers and immediates (Principles of Operation, chapter 7). */

type Integer = I32 | I64;
type Row = readonly [name: string, opcode: string, format: Format, width: 32 | 64, source: Source];

/** Splits on the absence of an index: what interpreters run most. */
const FREQUENT: ReadonlySet<string> = new Set(['l', 'lg', 'st', 'stg', 'la']);
const splitOf = (name: string): { readonly split?: readonly string[] } =>
  FREQUENT.has(name) ? { split: ['X2=0', 'B2=0'] } : {};

function loading([name, opcode, format, bits, source]: Row): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => w.set(s, 'R1', operand(s, w, source));
  return define({
    name,
    opcode,
    format,
    ...splitOf(name),
    meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64),
  });
}

const LOADS: readonly Row[] = [
  ['lr', '18', 'RR', 32, 'r'],
  ['lgr', 'B904', 'RRE', 64, 'r'],
  ['lgfr', 'B914', 'RRE', 64, 'rs'],
  ['llgfr', 'B916', 'RRE', 64, 'rz'],
  ['l', '58', 'RX', 32, 'm'],
  ['ly', 'E358', 'RXY', 32, 'm'],
  ['lg', 'E304', 'RXY', 64, 'm'],
  ['lgf', 'E314', 'RXY', 64, 'ms'],
  ['llgf', 'E316', 'RXY', 64, 'mz'],
  ['lh', '48', 'RX', 32, 'mh'],
  ['lhy', 'E378', 'RXY', 32, 'mh'],
  ['lgh', 'E315', 'RXY', 64, 'mh'],
  ['llh', 'E395', 'RXY', 32, 'mhz'],
  ['llgh', 'E391', 'RXY', 64, 'mhz'],
  ['lrl', 'C4D', 'RILb', 32, 'rel'],
  ['lgrl', 'C48', 'RILb', 64, 'rel'],
  ['lgfrl', 'C4C', 'RILb', 64, 'rels'],
  ['llgfrl', 'C4E', 'RILb', 64, 'relz'],
  ['lhrl', 'C45', 'RILb', 32, 'relh'],
  ['lghrl', 'C44', 'RILb', 64, 'relh'],
  ['llhrl', 'C42', 'RILb', 32, 'relhz'],
  ['llghrl', 'C46', 'RILb', 64, 'relhz'],
  ['lhi', 'A78', 'RI', 32, 'i'],
  ['lghi', 'A79', 'RI', 64, 'i'],
  ['lgfi', 'C01', 'RIL', 64, 'i'],
  ['llilf', 'C0F', 'RIL', 64, 'iz'],
];

function storing(name: string, opcode: string, format: 'RX' | 'RXY' | 'RILb', size: AccessSize): S390Instruction {
  return define({
    name,
    opcode,
    format,
    ...splitOf(name),
    meaning(s) {
      const at = format === 'RILb' ? relativeAddress(s, size as 2 | 4 | 8) : address(s, 2);
      store(s, at, size, gr(s, 'R1'));
    },
  });
}

/** Loads a register and sets the condition code: of a value as it is, its complement, its magnitude or the negative of that. */
type Change = 'test' | 'complement' | 'positive' | 'negative';

function changing(
  name: string,
  opcode: string,
  format: Format,
  bits: 32 | 64,
  source: Source,
  change: Change,
): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const { ops } = w;
    const zero = ops.const(0);
    const v = s.let(operand(s, w, source));
    const negated = ops.sub(zero, v);
    const isNegative = ops.ltS(v, zero);
    const result: Expr<T> = s.let(
      change === 'test'
        ? v
        : change === 'complement'
          ? negated
          : change === 'positive'
            ? s.select(isNegative, negated, v)
            : s.select(isNegative, v, negated),
    );
    const smallest = ops.shl(ops.const(1), ops.const(bits - 1));
    // Only the negative of the smallest number overflows, and only where it is made.
    const overflow = change === 'complement' || change === 'positive' ? ops.eq(result, smallest) : i32.const(0);
    const within = i32.eqz(overflow);
    w.set(s, 'R1', result);
    setConditions(s, [ops.eqz(result), i32.and(ops.ltS(result, zero), within), ops.gtS(result, zero), overflow]);
    if (s.mode.fixedOverflow) s.if(overflow, () => s.trap(PGM.FIXED_POINT_OVERFLOW));
  };
  return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
}

const CHANGES: readonly Parameters<typeof changing>[] = [
  ['ltr', '12', 'RR', 32, 'r', 'test'],
  ['ltgr', 'B902', 'RRE', 64, 'r', 'test'],
  ['ltgfr', 'B912', 'RRE', 64, 'rs', 'test'],
  ['lt', 'E312', 'RXY', 32, 'm', 'test'],
  ['ltg', 'E302', 'RXY', 64, 'm', 'test'],
  ['ltgf', 'E332', 'RXY', 64, 'ms', 'test'],
  ['lcr', '13', 'RR', 32, 'r', 'complement'],
  ['lcgr', 'B903', 'RRE', 64, 'r', 'complement'],
  ['lcgfr', 'B913', 'RRE', 64, 'rs', 'complement'],
  ['lpr', '10', 'RR', 32, 'r', 'positive'],
  ['lpgr', 'B900', 'RRE', 64, 'r', 'positive'],
  ['lpgfr', 'B910', 'RRE', 64, 'rs', 'positive'],
  ['lnr', '11', 'RR', 32, 'r', 'negative'],
  ['lngr', 'B901', 'RRE', 64, 'r', 'negative'],
  ['lngfr', 'B911', 'RRE', 64, 'rs', 'negative'],
];

/** Moves an immediate to storage. */
function immediateToStorage(
  name: string,
  opcode: string,
  format: 'SI' | 'SIY' | 'SIL',
  size: AccessSize,
): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning: (s) => store(s, address(s, 1), size, sext(immediate(s))),
  });
}

const BYTES: readonly (readonly [
  name: string,
  opcode: string,
  format: 'RRE' | 'RXY',
  width: 32 | 64,
  bytes: 1 | 2,
  signed: boolean,
])[] = [
  ['lbr', 'B926', 'RRE', 32, 1, true],
  ['lgbr', 'B906', 'RRE', 64, 1, true],
  ['llcr', 'B994', 'RRE', 32, 1, false],
  ['llgcr', 'B984', 'RRE', 64, 1, false],
  ['lhr', 'B927', 'RRE', 32, 2, true],
  ['lghr', 'B907', 'RRE', 64, 2, true],
  ['llhr', 'B995', 'RRE', 32, 2, false],
  ['llghr', 'B985', 'RRE', 64, 2, false],
  ['lb', 'E376', 'RXY', 32, 1, true],
  ['lgb', 'E377', 'RXY', 64, 1, true],
  ['llc', 'E394', 'RXY', 32, 1, false],
  ['llgc', 'E390', 'RXY', 64, 1, false],
];

/** A byte or halfword, from a register or storage. */
function loadingPart([name, opcode, format, bits, bytes, signed]: (typeof BYTES)[number]): S390Instruction {
  const part = (s: S): D => {
    if (format === 'RXY') return load(s, address(s, 2), bytes, { signed });
    const v = gr(s, 'R2');
    if (!signed) return i64.and(v, i64.const(bytes === 1 ? 0xff : 0xffff));
    return bytes === 1 ? i64.extend8(v) : i64.extend16(v);
  };
  return define({
    name,
    opcode,
    format,
    meaning: bits === 32 ? (s) => W32.set(s, 'R1', low(part(s))) : (s) => W64.set(s, 'R1', part(s)),
  });
}

const THIRTY_ONE_BITS = i64.const(0x7fffffffn);

export const LOAD_STORE: readonly S390Instruction[] = [
  ...LOADS.map(loading),
  ...BYTES.map(loadingPart),
  define({
    name: 'llgtr',
    opcode: 'B917',
    format: 'RRE',
    meaning: (s) => setGr(s, 'R1', i64.and(gr(s, 'R2'), THIRTY_ONE_BITS)),
  }),
  define({
    name: 'llgt',
    opcode: 'E317',
    format: 'RXY',
    meaning: (s) => setGr(s, 'R1', i64.and(load(s, address(s, 2), 4), THIRTY_ONE_BITS)),
  }),
  ...CHANGES.map((row) => changing(...row)),
  storing('st', '50', 'RX', 4),
  storing('sty', 'E350', 'RXY', 4),
  storing('stg', 'E324', 'RXY', 8),
  storing('stc', '42', 'RX', 1),
  storing('stcy', 'E372', 'RXY', 1),
  storing('sth', '40', 'RX', 2),
  storing('sthy', 'E370', 'RXY', 2),
  storing('strl', 'C4F', 'RILb', 4),
  storing('stgrl', 'C4B', 'RILb', 8),
  storing('sthrl', 'C47', 'RILb', 2),
  immediateToStorage('mvi', '92', 'SI', 1),
  immediateToStorage('mviy', 'EB52', 'SIY', 1),
  immediateToStorage('mvhhi', 'E544', 'SIL', 2),
  immediateToStorage('mvghi', 'E548', 'SIL', 8),
  immediateToStorage('mvhi', 'E54C', 'SIL', 4),
  ...(
    [
      ['la', '41', 'RX'],
      ['lay', 'E371', 'RXY'],
    ] as const
  ).map(([name, opcode, format]) =>
    define({ name, opcode, format, ...splitOf(name), meaning: (s) => loadAddress(s, address(s, 2)) }),
  ),
  define({ name: 'larl', opcode: 'C00', format: 'RILb', meaning: (s) => loadAddress(s, relative(s, 'RI2')) }),
];

/** In 64-bit mode all of the register is replaced, else its low half. */
function loadAddress(s: S, at: D): void {
  if (s.mode.addressBits === 64) setGr(s, 'R1', at);
  else W32.set(s, 'R1', low(at));
}
