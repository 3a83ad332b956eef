import { affinityOf, PSTATE, SPSR_MODE } from './abi.ts';
import type { ArmCpu } from './cpu/arm-cpu.ts';
import { callPsci, type PsciPower } from './kvm/psci.ts';
import { trngCall } from './vmm/trng.ts';

/** What firmware has to do with. */
export interface FirmwareParts {
  /** The machine's PEs; they are made after their firmware. */
  readonly cpus: () => readonly ArmCpu[];
  /** Where random numbers come from; null where there are none to be had. */
  readonly entropy: ((bytes: number) => Uint8Array) | null;
  /** Starts a PE that is off. */
  readonly start: (cpu: ArmCpu, entry: bigint, context: bigint) => void;
  readonly systemOff: () => void;
  readonly systemReset: () => void;
}

/** The machine's own firmware: PSCI (Arm DEN0022), and random numbers (Arm DEN0098). */
export class Firmware {
  readonly #parts: FirmwareParts;
  readonly #power: PsciPower;

  constructor(parts: FirmwareParts) {
    this.#parts = parts;
    this.#power = {
      find: (affinity) => {
        const index = parts.cpus().findIndex((cpu) => BigInt(affinityOf(cpu.index)) === affinity);
        return index < 0 ? undefined : index;
      },
      isOn: (index) => !this.#cpu(index).stopped,
      on: (index, entry, context) => parts.start(this.#cpu(index), entry, context),
      off: (index) => this.#cpu(index).powerOff(),
      suspend: (index) => this.#cpu(index).suspend(),
      systemOff: parts.systemOff,
      systemReset: parts.systemReset,
    };
  }

  /** A PE calls: function in X0, arguments behind it; the answer takes their place. */
  call(cpu: ArmCpu): void {
    const id = cpu.x(0) & 0xffff_ffffn;
    const { entropy } = this.#parts;
    const random = entropy === null ? null : trngCall(id, cpu, entropy);
    if (random !== null) {
      for (let n = 0; n < 4; n++) cpu.setX(n, random[n] ?? 0n);
      return;
    }
    const result = callPsci(this.#power, Number(id), { cpu: cpu.index, x1: cpu.x(1), x2: cpu.x(2), x3: cpu.x(3) });
    if (!cpu.stopped) cpu.setX(0, result);
  }

  #cpu(index: number): ArmCpu {
    const cpu = this.#parts.cpus()[index];
    if (cpu === undefined) throw new Error(`no PE ${index}`);
    return cpu;
  }
}

/** Where firmware leaves a PE to the hyp: at EL2 as after a reset, everything masked. */
export function startAtEl2(cpu: ArmCpu, entry: bigint, context: bigint): void {
  cpu.reset();
  cpu.setX(0, context);
  cpu.place(PSTATE.DAIF | SPSR_MODE.EL2h, entry);
}
