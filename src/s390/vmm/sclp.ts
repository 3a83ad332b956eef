import type { ConsoleBackend } from '../../devices/console.ts';
import { AsciiConsole, LineModeConsole } from './sclp-consoles.ts';
import { EventFacility } from './sclp-events.ts';
import { SCCB, SCCB_BYTES, SCLP, SCLP_COMMAND_MASK, SCLP_RC, VARIABLE_LENGTH, viewOf } from './sclp-format.ts';

/** What SCLP tells of the machine. */
export interface SclpMachine {
  readonly cpus: number;
  /** Bytes of storage. */
  readonly memory: number;
}

/** Offsets in the blocks of READ SCP INFO and READ CPU INFO (s390-pv.md 8.6). */
const INFO = {
  RNMAX: 8,
  RNSIZE: 10,
  CPUS: 16,
  CPU_OFFSET: 18,
  LOADPARM: 24,
  FACILITIES: 48,
  HAMAXPOW: 99,
  HIGHEST_CPU: 120,
  ENTRIES: 128,
} as const;
const CPU_INFO = { CONFIGURED: 8, CONFIGURED_OFFSET: 10, STANDBY_OFFSET: 14, ENTRIES: 24 } as const;
const CPU_ENTRY_BYTES = 16;

/** READ CPU INFO is there. */
const FACILITY_CPU_INFO = 0x0800000000000000n;
const EBCDIC_BLANK = 0x40;
/** Host absolute addresses have so many bits. */
const ADDRESS_BITS = 48;
const MIB_SHIFT = 20;
const MOST_INCREMENTS = 0xffff;

type Command = (block: Uint8Array) => number;

/**
 * The service-call logical processor, by blocks of bytes: it serves SERVC of a CPU, and of a guest under SIE whose block lies elsewhere. Whoever calls has checked
 * address and length (`sccbProblem`), stores what is answered, and signals.
 */
export class Sclp {
  readonly events: EventFacility;
  readonly #machine: SclpMachine;
  readonly #commands: ReadonlyMap<number, Command>;

  constructor(machine: SclpMachine, console: ConsoleBackend) {
    this.#machine = machine;
    this.events = new EventFacility([new AsciiConsole(console), new LineModeConsole(console)]);
    const scpInfo: Command = (block) => this.#readScpInfo(block);
    this.#commands = new Map<number, Command>([
      [SCLP.READ_SCP_INFO, scpInfo],
      [SCLP.READ_SCP_INFO_FORCED, scpInfo],
      [SCLP.READ_CPU_INFO, (block) => this.#readCpuInfo(block)],
      [SCLP.READ_EVENT_DATA, (block) => this.events.readData(block)],
      [SCLP.WRITE_EVENT_DATA, (block) => this.events.writeData(block)],
      [SCLP.WRITE_EVENT_MASK, (block) => this.events.writeMask(block)],
    ]);
  }

  /**
   * Carries out a command.
   * @param command the command word
   * @param block a copy of the block, as long as its header says; changed in place, with the response code in it
   * @param address where the block lies: it may not cross a page
   */
  call(command: number, block: Uint8Array, address: number): void {
    const handler = this.#commands.get((command & SCLP_COMMAND_MASK) >>> 0);
    const crosses = (address % SCCB_BYTES) + block.length > SCCB_BYTES;
    let response: number = SCLP_RC.INVALID_COMMAND;
    if (handler !== undefined) response = crosses ? SCLP_RC.BOUNDARY_VIOLATION : handler(block);
    viewOf(block).setUint16(SCCB.RESPONSE, response);
  }

  reset(): void {
    this.events.reset();
  }

  #readScpInfo(block: Uint8Array): number {
    const { cpus, memory } = this.#machine;
    if (!holds(block, INFO.ENTRIES + cpus * CPU_ENTRY_BYTES)) return SCLP_RC.INSUFFICIENT_LENGTH;
    const view = viewOf(block);
    let increment = MIB_SHIFT;
    while (memory / 2 ** increment > MOST_INCREMENTS) increment += 1;
    view.setUint16(INFO.RNMAX, memory / 2 ** increment);
    view.setUint8(INFO.RNSIZE, 1 << (increment - MIB_SHIFT));
    view.setUint16(INFO.CPUS, cpus);
    view.setUint16(INFO.CPU_OFFSET, INFO.ENTRIES);
    block.fill(EBCDIC_BLANK, INFO.LOADPARM, INFO.LOADPARM + 8);
    view.setBigUint64(INFO.FACILITIES, FACILITY_CPU_INFO);
    view.setUint8(INFO.HAMAXPOW, ADDRESS_BITS);
    view.setUint16(INFO.HIGHEST_CPU, cpus - 1);
    storeCpus(block, INFO.ENTRIES, cpus);
    return SCLP_RC.READ_COMPLETION;
  }

  #readCpuInfo(block: Uint8Array): number {
    const { cpus } = this.#machine;
    if (!holds(block, CPU_INFO.ENTRIES + cpus * CPU_ENTRY_BYTES)) return SCLP_RC.INSUFFICIENT_LENGTH;
    const view = viewOf(block);
    view.setUint16(CPU_INFO.CONFIGURED, cpus);
    view.setUint16(CPU_INFO.CONFIGURED_OFFSET, CPU_INFO.ENTRIES);
    view.setUint16(CPU_INFO.STANDBY_OFFSET, CPU_INFO.ENTRIES + cpus * CPU_ENTRY_BYTES);
    storeCpus(block, CPU_INFO.ENTRIES, cpus);
    return SCLP_RC.READ_COMPLETION;
  }
}

/** Whether the answer fits; where the guest takes any length it learns which one. */
function holds(block: Uint8Array, bytes: number): boolean {
  if (block.length >= bytes) return true;
  const variable = ((block[SCCB.CONTROL + 2] ?? 0) & VARIABLE_LENGTH) !== 0;
  if (variable) viewOf(block).setUint16(SCCB.LENGTH, bytes);
  return false;
}

/** Entries of CPUs: their address, and nothing of what they can do. */
function storeCpus(block: Uint8Array, at: number, cpus: number): void {
  for (let cpu = 0; cpu < cpus; cpu++) {
    block.fill(0, at + cpu * CPU_ENTRY_BYTES, at + (cpu + 1) * CPU_ENTRY_BYTES);
    block[at + cpu * CPU_ENTRY_BYTES] = cpu;
  }
}
