import { CR0, CR14_RESET, UV_RC, UVCB } from '../abi.ts';
import type { GuestState } from '../cpu/guest-state.ts';
import type { Command, CommandResult, UvContext } from './context.ts';
import { cpuOf } from './lookup.ts';
import type { SecureCpuRecord } from './state.ts';

/** What a reset does to a CPU's registers (Principles of Operation, "Resets"); each kind includes those before it. */
type Reset = 'cpu' | 'initial' | 'clear';

/** Registers after a clear reset. */
export function clearedState(): GuestState {
  const zeros = (): bigint[] => new Array<bigint>(16).fill(0n);
  const guest: GuestState = {
    pswMask: 0n,
    pswAddress: 0n,
    gr: zeros(),
    fpr: zeros(),
    ar: new Array<number>(16).fill(0),
    cr: zeros(),
    fpc: 0,
    prefix: 0,
    cpuTimer: 0n,
    clockComparator: 0n,
    todProgrammable: 0,
  };
  initialReset(guest);
  return guest;
}

function initialReset(guest: GuestState): void {
  guest.pswMask = 0n;
  guest.pswAddress = 0n;
  guest.prefix = 0;
  guest.cpuTimer = 0n;
  guest.clockComparator = 0n;
  guest.todProgrammable = 0;
  guest.fpc = 0;
  guest.cr.fill(0n);
  guest.cr[0] = CR0.RESET;
  guest.cr[14] = CR14_RESET;
}

/** Resets a stopped CPU: what it was doing is forgotten, and the host may not start it until the guest does. */
export function resetCpu(uv: UvContext, cpu: SecureCpuRecord, kind: Reset): void {
  const { guest } = cpu;
  cpu.pending = null;
  cpu.servcDone = false;
  cpu.externalCall = null;
  cpu.storeStatus = false;
  cpu.startable = false;
  cpu.wasReset = true;
  if (kind === 'cpu') return;
  initialReset(guest);
  cpu.left = { timer: 0n, tod: uv.hardware.tod() };
  if (kind === 'initial') return;
  guest.gr.fill(0n);
  guest.fpr.fill(0n);
  guest.ar.fill(0);
}

/**
 * UVC.CPU_RESET, CPU_RESET_INITIAL and CPU_RESET_CLEAR (2.10): the CPU is stopped. In the reset chain their place is behind PREPARE_RESET (5.9).
 */
export function cpuReset(kind: Reset): (command: Command) => CommandResult {
  return ({ uv, block }) => {
    const cpu = cpuOf(uv, block.u64(UVCB.HANDLE));
    if (typeof cpu === 'number') return cpu;
    const { config } = cpu;
    if (cpu.state !== 'STOPPED' || cpu.runsOn !== null || config.state === 'DUMPING') return UV_RC.INVALID_STATE;
    if (config.state === 'RESET-PENDING' && !config.prepared) return UV_RC.INVALID_STATE;
    resetCpu(uv, cpu, kind);
    return UV_RC.EXECUTED;
  };
}
