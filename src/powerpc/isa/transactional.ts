import { i64 } from '../../wasm/expr.ts';
import { MSR } from '../abi.ts';
import { define, type PowerInstruction } from './common.ts';
import { TRAP } from './helpers.ts';
import { msr } from './state.ts';

/**
 * Transactional memory is not there: MSR[TM] cannot be set, so its instructions raise "facility unavailable", as on QEMU with `cap-htm=off`
 * (Power ISA 3.0B, book II, 5.5, and book III, 5.3). They are told apart only as far as that needs.
 */
const PROBLEM_STATE: readonly (readonly [name: string, extendedOpcode: number])[] = [
  ['tbegin.', 654],
  ['tend.', 686],
  ['tsr.', 750],
  ['tabortwc.', 782],
  ['tabortdc.', 814],
  ['tabortwci.', 846],
  ['tabortdci.', 878],
  ['tabort.', 910],
];
const PRIVILEGED: typeof PROBLEM_STATE = [
  ['treclaim.', 942],
  ['trechkpt.', 1006],
];

const bits = (value: number): string => value.toString(2).padStart(10, '0');

function unavailable(name: string, encoding: string, privileged: boolean): PowerInstruction {
  return define({
    name,
    encoding,
    operands: '',
    meaning(s) {
      if (privileged) {
        s.if(i64.ne(i64.and(s.get(msr), i64.const(MSR.PR)), i64.const(0)), () => s.trap(TRAP.privileged));
      }
      s.trap(TRAP.transactionalUnavailable);
    },
  });
}

export const TRANSACTIONAL: readonly PowerInstruction[] = [
  ...PROBLEM_STATE.map(([name, xo]) => unavailable(name, `011111 .15 ${bits(xo)} 1`, false)),
  ...PRIVILEGED.map(([name, xo]) => unavailable(name, `011111 .15 ${bits(xo)} 1`, true)),
  unavailable('tcheck', `011111 .15 ${bits(718)} 0`, false),
];
