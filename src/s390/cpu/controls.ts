import { FACILITY, PGM } from '../abi.ts';
import type { S390Instruction } from '../isa/common.ts';
import { s390Isa } from '../isa/index.ts';
import { setCc } from '../isa/state.ts';
import { CONTROL_MODE } from './control-mode.ts';
import { CONTROL_PSW } from './control-psw.ts';
import { CONTROL_REGISTERS } from './control-registers.ts';
import { CONTROL_STORAGE } from './control-storage.ts';
import { CONTROL_TABLES } from './control-tables.ts';
import { CONTROL_TIMERS } from './control-timers.ts';
import { type Control, type ControlAnswer, ControlWork } from './control-work.ts';
import type { Core } from './core.ts';
import { CpuAccess } from './cpu-access.ts';
import { SERVICE_INSTRUCTIONS, type ServiceCall, type Services } from './port.ts';
import type { Sie } from './sie.ts';
import { type SignalTarget, signalProcessor } from './sigp.ts';
import { storeSystemInformation } from './stsi.ts';
import type { HostCall, UltravisorSeat } from './ultravisor-port.ts';

/** What control instructions need of what is around the CPU. */
export interface ControlParts {
  readonly services: () => Services;
  readonly seat: () => UltravisorSeat | null;
  readonly find: (address: number) => SignalTarget | undefined;
  readonly sie: () => Sie;
  /** Gives other CPUs their turn. */
  readonly yield: () => void;
}

/** Control instructions that a program in problem state may issue; some look for authority themselves. */
const IN_PROBLEM_STATE: ReadonlySet<string> = new Set([
  'sam24',
  'sam31',
  'sam64',
  'tam',
  'bsm',
  'bassm',
  'spm',
  'epsw',
  'spka',
  'ipk',
  'sac',
  'iac',
  'stfle',
  'ptff',
  'ectg',
  'ecag',
  'mc',
  'mvcp',
  'mvcs',
  'mvck',
  'mvcsk',
  'mvcdk',
  'mvcos',
  'mvpg',
  'epar',
  'esar',
]);

const OWN: ReadonlyMap<string, Control> = new Map(
  Object.entries({
    ...CONTROL_MODE,
    ...CONTROL_PSW,
    ...CONTROL_REGISTERS,
    ...CONTROL_STORAGE,
    ...CONTROL_TABLES,
    ...CONTROL_TIMERS,
  }),
);

/** Instructions by their first four bytes, of those that are not longer: they come again and again. */
const found = new Map<number, S390Instruction>();

function find(head: number, tail: number): S390Instruction {
  const known = tail === 0 ? found.get(head) : undefined;
  if (known !== undefined) return known;
  const instruction = s390Isa.decode(head, tail) as S390Instruction | undefined;
  if (instruction === undefined) throw new Error(`no instruction 0x${head.toString(16)}`);
  if (instruction.pattern.length <= 4) found.set(head, instruction);
  return instruction;
}

/** DIAGNOSE codes that yield the CPU. */
const YIELDS: ReadonlySet<number> = new Set([0x44, 0x9c]);

/** A guest's instruction for the one who serves it. */
class CallOfService extends CpuAccess implements ServiceCall {
  readonly #work: ControlWork;
  readonly name: string;
  readonly head: number;
  readonly tail: number;
  readonly r1: number;
  readonly r2: number;
  readonly r3: number;

  constructor(core: Core, work: ControlWork) {
    super(core);
    this.#work = work;
    this.name = work.name;
    this.head = work.head;
    this.tail = work.tail;
    this.r1 = work.register(1);
    this.r2 = work.register(2);
    this.r3 = work.register(3);
  }

  get length(): 2 | 4 | 6 {
    return this.#work.length;
  }

  get address(): bigint {
    return this.#work.has('B2') ? this.#work.address(2) : 0n;
  }
}

class CallOfHost extends CpuAccess implements HostCall {
  readonly r1: bigint;
  readonly controlBlock: bigint;

  constructor(core: Core, work: ControlWork) {
    super(core);
    this.r1 = work.gr(work.field('R1'));
    this.controlBlock = work.addressIn(work.field('R2'));
  }
}

/** Does control instructions. */
export class Controls {
  readonly #core: Core;
  readonly #parts: ControlParts;
  /** The one that was executed last. */
  #current: ControlWork | null = null;

  constructor(core: Core, parts: ControlParts) {
    this.#core = core;
    this.#parts = parts;
  }

  /** The condition code that an answer has, if it has one. */
  setCc(answer: ControlAnswer): void {
    if (typeof answer === 'number') setCc(this.#core.context, answer);
  }

  execute(head: number, tail: number): ControlAnswer {
    const instruction = find(head >>> 0, tail);
    const { name } = instruction;
    const core = this.#core;
    if (name === 'uvc' && !this.#hasUltravisor) return { program: PGM.OPERATION };
    if (name === 'uvc' && (head & 0xff00) !== 0) return { program: PGM.SPECIFICATION };
    if (core.isProblemState && !IN_PROBLEM_STATE.has(name)) return { program: PGM.PRIVILEGED_OPERATION };
    const work = new ControlWork(core, instruction, head, tail);
    this.#current = work;
    // A control block is on a doubleword boundary (s390-pv.md 2.2).
    if (name === 'uvc' && (work.addressIn(work.field('R2')) & 7n) !== 0n) return { program: PGM.SPECIFICATION };
    const sie = this.#parts.sie();
    const intercepted = sie.guest === null ? null : sie.intercept(work);
    return intercepted ?? this.perform(work);
  }

  /** Does the instruction at hand as SIE does it for any guest. */
  again(): ControlAnswer {
    if (this.#current === null) throw new Error('no instruction is at hand');
    return this.perform(this.#current);
  }

  /** Does an instruction that is nobody else's business. */
  perform(work: ControlWork): ControlAnswer {
    const { name, core } = work;
    const own = OWN.get(name);
    if (own !== undefined) return own(work);
    switch (name) {
      case 'sigp':
        return signalProcessor(work, this.#parts.find);
      case 'stsi':
        return storeSystemInformation(work, this.#parts.services().virtualMachine);
      case 'diag':
        return this.#diagnose(work);
      case 'sie':
        return this.#parts.sie().start(work);
      case 'uvc':
        return this.#parts.seat()?.call(new CallOfHost(core, work)) ?? { program: PGM.OPERATION };
    }
    if (!SERVICE_INSTRUCTIONS.has(name)) return { program: PGM.OPERATION };
    const handler = this.#parts.services().instructions.get(name);
    return handler === undefined ? { program: PGM.OPERATION } : handler(new CallOfService(core, work));
  }

  #diagnose(work: ControlWork): ControlAnswer {
    const code = Number(work.address(2) & 0xffffn);
    if (YIELDS.has(code)) {
      this.#parts.yield();
      return 'done';
    }
    const handler = this.#parts.services().diagnose.get(code);
    return handler === undefined ? { program: PGM.SPECIFICATION } : handler(new CallOfService(this.#core, work));
  }

  get #hasUltravisor(): boolean {
    const bit = FACILITY.ULTRAVISOR_CALL;
    return this.#parts.seat() !== null && ((this.#core.facilities[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0;
  }
}
