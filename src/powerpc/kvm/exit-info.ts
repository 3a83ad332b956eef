import { MSR, SPR, SRR1, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { ExitInfo, ExitJob } from './job.ts';
import { createContext, type GuestContext } from './vm.ts';

/** How Linux's KVM names its exits (`kvm_trace_symbol_exit`), by vector, and which registers save the interrupted state. */
const EXITS: ReadonlyMap<bigint, { readonly reason: string; readonly hsrr: boolean }> = new Map([
  [VECTOR.SYSTEM_RESET, { reason: 'SYSTEM_RESET', hsrr: false }],
  [VECTOR.MACHINE_CHECK, { reason: 'MACHINE_CHECK', hsrr: false }],
  [VECTOR.EXTERNAL, { reason: 'EXTERNAL', hsrr: true }],
  [VECTOR.HV_DECREMENTER, { reason: 'HV_DECREMENTER', hsrr: true }],
  [VECTOR.SYSTEM_CALL, { reason: 'SYSCALL', hsrr: false }],
  [VECTOR.HV_DATA_STORAGE, { reason: 'H_DATA_STORAGE', hsrr: true }],
  [VECTOR.HV_INSTRUCTION_STORAGE, { reason: 'H_INST_STORAGE', hsrr: true }],
  [VECTOR.HV_EMULATION_ASSISTANCE, { reason: 'H_EMUL_ASSIST', hsrr: true }],
  [VECTOR.HV_MAINTENANCE, { reason: 'HMI', hsrr: true }],
  [VECTOR.HV_DOORBELL, { reason: 'H_DOORBELL', hsrr: true }],
  [VECTOR.HV_VIRTUALIZATION, { reason: 'H_VIRT', hsrr: true }],
  [VECTOR.HV_FACILITY_UNAVAILABLE, { reason: 'H_FAC_UNAVAIL', hsrr: true }],
  [VECTOR.DENORMAL_ASSIST, { reason: 'SOFTPATCH', hsrr: true }],
]);

/** The name of an exit for the trace and the report. */
export function exitReason(vector: bigint): string {
  return EXITS.get(vector)?.reason ?? `0x${vector.toString(16)}`;
}

/** Reads what the CPU says about an exit and where the guest stopped. The guest's other registers stay in the CPU. */
export function captureExit(port: RegisterPort, vector: bigint, context: GuestContext): ExitInfo {
  const hsrr = EXITS.get(vector)?.hsrr ?? false;
  const status = port.spr(hsrr ? SPR.HSRR1 : SPR.SRR1);
  context.pc = port.spr(hsrr ? SPR.HSRR0 : SPR.SRR0);
  context.msr = status & ~SRR1.STATUS;
  context.secure = (status & MSR.S) !== 0n;
  context.live = true;
  context.upcall = false;
  const storage = vector === VECTOR.HV_DATA_STORAGE || vector === VECTOR.HV_INSTRUCTION_STORAGE;
  return {
    vector,
    lpid: Number(port.spr(SPR.LPIDR)),
    secure: context.secure,
    status,
    hdar: storage ? port.spr(SPR.HDAR) : 0n,
    hdsisr: storage ? port.spr(SPR.HDSISR) : 0n,
    asdr: storage ? port.spr(SPR.ASDR) : 0n,
  };
}

/** What is known when no guest has stopped: at boot, and when the CPU comes back from `stop`. */
const NO_EXIT: ExitInfo = {
  vector: undefined,
  lpid: 0,
  secure: false,
  status: 0n,
  hdar: 0n,
  hdsisr: 0n,
  asdr: 0n,
};

/** The way to the next guest where none has stopped. */
export function idleExit(): ExitJob {
  return { kind: 'exit', step: 'resume', info: NO_EXIT, context: createContext(), nested: false, yields: false };
}
