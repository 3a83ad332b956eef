import type { RealMemory } from '../../machine/memory.ts';
import { Mmu } from './mmu.ts';
import { stage2Geometry } from './table-geometry.ts';

/** Who translates by a stage 2 table without a PE: VTCR_EL2 and VTTBR_EL2 as an SMMU holds them. */
export interface Stage2Registers {
  readonly vtcr: bigint;
  readonly vttbr: bigint;
}

/** Checks accesses at intermediate physical addresses against a stage 2 table in RAM, as an SMMU does for devices. It remembers nothing. */
export class Stage2Check {
  readonly #mmu: Mmu;
  #key = '';

  constructor(memory: RealMemory) {
    this.#mmu = new Mmu(memory);
    Object.assign(this.#mmu.state, { hyp: false, stage1: false, stage2: true });
  }

  /** @returns whether the table lets the access through, to the same address */
  allows({ vtcr, vttbr }: Stage2Registers, address: number, write: boolean): boolean {
    const key = `${vtcr},${vttbr}`;
    if (key !== this.#key) {
      this.#key = key;
      this.#mmu.state.second = stage2Geometry(vtcr, vttbr);
    }
    const found = this.#mmu.probe(Math.floor(address / 2 ** 32), address >>> 0, write ? 'store' : 'load');
    return found === address;
  }
}
