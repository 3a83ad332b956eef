import type { Gfn } from '../powerpc/abi.ts';
import type { Toolbox } from '../powerpc/kvm/hostile/toolbox.ts';
import type { PowerMachine } from '../powerpc/machine.ts';
import type { TraceEvent, TraceSink } from '../trace/events.ts';
import { MemoryTrace } from '../trace/memory.ts';

/** Levels at which the victim itself executes. */
const GUEST_LEVELS: ReadonlySet<string> = new Set(['guest', 'guest user', 'secure guest', 'secure guest user']);

/** The victim is the first VM. */
const VICTIM_LPID = 1;

/** What became of registers that an attack changed. */
export interface ChangedRegisters {
  /** How often the victim went on after a change. */
  entries: number;
  /** Names of those that were changed. */
  readonly changed: Set<string>;
  /** Names of those that the victim found as the attack had left them. */
  readonly arrived: Set<string>;
}

/** Keeps the events of a run, and looks at the registers of a CPU in the moment in which the victim goes on after an attack on them. */
export class AttackWitness implements TraceSink {
  readonly trace = new MemoryTrace();
  readonly registers: ChangedRegisters = { entries: 0, changed: new Set(), arrived: new Set() };
  /** For each RTAS call that the attack answered: the frame, and the state that it had in the Ultravisor's books; undefined in a normal VM. */
  readonly answers: { readonly gfn: Gfn; readonly state: string | undefined }[] = [];
  machine: PowerMachine | null = null;
  readonly #pages = new Map<bigint, string>();

  emit(event: TraceEvent): void {
    this.trace.emit(event);
    if (event.type === 'page-state' && event.vm === VICTIM_LPID) this.#pages.set(event.gfn, event.to);
    if (event.type !== 'level-enter' || !GUEST_LEVELS.has(event.level)) return;
    const toolbox = this.machine?.hostile?.toolbox;
    if (toolbox === undefined) return;
    if (toolbox.planted !== null) this.#look(toolbox, event.cpu, toolbox.planted);
    for (const gfn of toolbox.answered.splice(0)) this.answers.push({ gfn, state: this.#pages.get(BigInt(gfn)) });
  }

  #look(toolbox: Toolbox, cpu: number, planted: ReadonlyMap<string, bigint>): void {
    const registers = this.machine?.cpus[cpu]?.architectedRegisters() ?? {};
    this.registers.entries += 1;
    for (const [name, value] of planted) {
      if (!(name in registers)) throw new Error(`an attack changed ${name}, which is no register`);
      this.registers.changed.add(name);
      if (registers[name] === value) this.registers.arrived.add(name);
    }
    toolbox.planted = null;
  }
}
