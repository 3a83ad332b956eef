import { UV_CPU_STATE, UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult, UvContext } from './context.ts';
import { cpuOf } from './lookup.ts';
import type { Configuration, SecureCpuRecord } from './state.ts';
import { setConfigState } from './trace.ts';

/** Whether a CPU may go to a state, and what happens then. */
interface Transition {
  readonly may: (cpu: SecureCpuRecord) => boolean;
  readonly go: (uv: UvContext, cpu: SecureCpuRecord) => void;
}

/** Transitions by the state byte of UVC.CPU_SET_STATE (1.5, 2.13). */
const TRANSITIONS: ReadonlyMap<number, Transition> = new Map([
  // A CPU that its guest has not started stays stopped: its registers say nothing yet, or the guest has done with it.
  [
    UV_CPU_STATE.OPERATING,
    {
      may: (cpu) => cpu.state === 'OPERATING' || (cpu.state === 'STOPPED' && cpu.startable && runs(cpu.config)),
      go: (_, cpu) => {
        cpu.state = 'OPERATING';
      },
    },
  ],
  [
    UV_CPU_STATE.STOPPED,
    {
      may: () => true,
      go: (_, cpu) => {
        // A load that has not happened is still to come.
        if (cpu.state === 'LOAD') cpu.config.load = cpu.loadFrom;
        if (cpu.state === 'CHECK-STOP') cpu.startable = false;
        cpu.loadFrom = null;
        cpu.state = 'STOPPED';
      },
    },
  ],
  [
    UV_CPU_STATE.CHECK_STOP,
    {
      may: () => true,
      go: (_, cpu) => {
        if (cpu.state === 'LOAD') cpu.config.load = cpu.loadFrom;
        cpu.loadFrom = null;
        cpu.state = 'CHECK-STOP';
      },
    },
  ],
  [UV_CPU_STATE.OPERATING_LOAD, { may: mayLoad, go: load }],
]);

/** UVC.CPU_SET_STATE. What is not legal, or comes while the CPU runs, gives INVALID_STATE (10). */
export function cpuSetState({ uv, block }: Command): CommandResult {
  const cpu = cpuOf(uv, block.u64(UVCB.CPU_SET_STATE.CPU));
  if (typeof cpu === 'number') return cpu;
  const transition = TRANSITIONS.get(block.u8(UVCB.CPU_SET_STATE.STATE));
  if (transition === undefined || cpu.runsOn !== null || !transition.may(cpu)) return UV_RC.INVALID_STATE;
  transition.go(uv, cpu);
  return UV_RC.EXECUTED;
}

const runs = ({ state }: Configuration): boolean => state === 'VERIFIED';

/** The load that VERIFY or the reset chain has made possible: once, on one CPU, and in the chain when all are reset. */
function mayLoad({ config, state }: SecureCpuRecord): boolean {
  if (state !== 'STOPPED' || config.load === null) return false;
  if (config.state === 'VERIFIED') return true;
  return config.state === 'RESET-PENDING' && config.prepared && [...config.cpus.values()].every((cpu) => cpu.wasReset);
}

function load(uv: UvContext, cpu: SecureCpuRecord): void {
  const { config } = cpu;
  cpu.state = 'LOAD';
  cpu.loadFrom = config.load;
  cpu.startable = true;
  config.load = null;
  config.prepared = false;
  setConfigState(uv, config, 'VERIFIED');
}
