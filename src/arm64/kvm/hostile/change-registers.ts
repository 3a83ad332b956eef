import { CONTEXT_REGISTERS, type ContextRegister, CPU_CONTEXT } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

const JUNK = 0x5555_5555_5555_5555n;
/** Without these a plain guest does not even go on: how it translates, where its stack and its vectors are, and its timer. */
const NEEDED: ReadonlySet<ContextRegister> = new Set([
  'SCTLR_EL1',
  'CPACR_EL1',
  'VBAR_EL1',
  'SP_EL1',
  'MDSCR_EL1',
  'CNTKCTL_EL1',
  'CNTV_CTL_EL0',
  'CNTV_CVAL_EL0',
]);
const FLAGS = 0xf000_0000n;

/** Changes every register that the exit does not return. */
export const changeRegisters: Attack = {
  name: 'change-registers',
  summary: 'change registers that the exit does not return',
  begin: (hv) => ({
    entering(line, { struct }) {
      if (line !== FIRST_LINE) return;
      for (let n = 0; n < 31; n++) struct.setX(n, JUNK);
      for (let n = 0; n < 64; n++) struct.write(CPU_CONTEXT.v + 8 * n, JUNK);
      struct.write(CPU_CONTEXT.sp, JUNK);
      struct.pstate ^= FLAGS;
      for (const name of CONTEXT_REGISTERS) {
        if (!NEEDED.has(name)) struct.setRegister(name, struct.register(name) ^ JUNK);
      }
      hv.did('changing registers');
    },
  }),
};
