import type { RealAddress } from '../../machine/types.ts';
import { CR0, CR14_RESET, ECA, ECB2, ESCA, SD, SDF } from '../abi.ts';
import { Gmap } from './gmap.ts';
import { PAGE } from './host-storage.ts';
import { SieBlock } from './sie-block.ts';
import type { KvmState } from './state.ts';
import { INITIAL_CPUFLAGS } from './vcpu-reset.ts';
import { noInterruptions, type Vcpu, type Vm } from './vm.ts';

/** A virtual machine to be made. */
export interface VmSpec {
  readonly name: string;
  /** Bytes of guest storage, a multiple of 1 MiB. */
  readonly memory: number;
  readonly vcpus: number;
  /** The guest's facility list, as STFLE stores it; at most 2 KiB. */
  readonly facilities: Uint8Array;
}

const MIB = 0x10_0000;

/** The last MiB of a guest: what MSL names (4.2). */
const MSL_MASK = 0xfffff;

/**
 * Makes a VM: its address space, its SCA (the extended form, which protection needs), and a state description for each CPU. All CPUs are stopped.
 * @throws RangeError for sizes that cannot be, or if host storage is used up
 */
export function createVm(kvm: KvmState, spec: VmSpec): Vm {
  const { name, memory, vcpus } = spec;
  if (memory <= 0 || memory % MIB !== 0) throw new RangeError(`${name}: guest storage is a multiple of 1 MiB`);
  if (vcpus < 1 || vcpus > ESCA.ENTRY_COUNT) throw new RangeError(`${name}: a VM has 1 to ${ESCA.ENTRY_COUNT} CPUs`);
  const take = (size: number, alignment = PAGE): RealAddress => {
    const base = kvm.storage.allocate(size, alignment);
    if (base === undefined) throw new RangeError(`${name}: the host has no storage left`);
    return base;
  };
  const sca = take(ESCA.SIZE);
  const facilities = take(PAGE);
  kvm.view.write(facilities, spec.facilities.subarray(0, 2048));
  const cpus: Vcpu[] = [];
  const vm: Vm = {
    id: kvm.vms.length,
    name,
    size: memory,
    gmap: new Gmap(kvm.view, kvm.storage, memory),
    pages: new Float64Array(memory / PAGE),
    sca,
    vcpus: cpus,
    secure: null,
    wasSecure: false,
    serviceMasked: false,
    dumping: false,
    end: null,
    destroyed: false,
  };
  for (let id = 0; id < vcpus; id++) {
    const sie = new SieBlock(kvm.view, take(SD.SIZE));
    cpus.push(newVcpu(kvm, vm, id, sie));
    fillStateDescription(sie, { id, sca, facilities, size: memory });
    const entry = sca + ESCA.ENTRIES + id * ESCA.ENTRY_SIZE;
    kvm.view.writeU64((entry + ESCA.ENTRY_SD) as RealAddress, BigInt(sie.address));
    const mcn = (sca + ESCA.MCN + 8 * (id >> 6)) as RealAddress;
    kvm.view.writeU64(mcn, kvm.view.readU64(mcn) | (1n << BigInt(63 - (id & 63))));
  }
  return vm;
}

function newVcpu(kvm: KvmState, vm: Vm, id: number, sie: SieBlock): Vcpu {
  return {
    id,
    vm,
    cpu: id % kvm.cpus.length,
    sie,
    state: 'stopped',
    waitingSince: 0n,
    gr: new Array<bigint>(16).fill(0n),
    fpr: new Array<bigint>(16).fill(0n),
    ar: new Array<number>(16).fill(0),
    fpc: 0,
    pending: noInterruptions(),
    kicked: false,
    inBetween: false,
    secure: null,
  };
}

interface Description {
  readonly id: number;
  readonly sca: RealAddress;
  readonly facilities: RealAddress;
  readonly size: number;
}

function fillStateDescription(sie: SieBlock, { id, sca, facilities, size }: Description): void {
  sie.setU32(SD.CPUFLAGS, INITIAL_CPUFLAGS);
  sie.setU16(SD.CPU_ADDRESS, id);
  sie.setU32(SD.ECA, ECA.CEI | ECA.IB);
  sie.setU8(SD.ECB2, ECB2.ESCA);
  sie.setU32(SD.SCA_HIGH, Math.floor(sca / 2 ** 32));
  sie.setU32(SD.SCA_LOW, sca);
  sie.setU8(SD.SDF, SDF.normal);
  sie.setU64(SD.MSO, 0n);
  sie.setU64(SD.MSL, BigInt(size - 1) & ~BigInt(MSL_MASK));
  sie.setU64(SD.CR, CR0.RESET);
  sie.setU64(SD.CR + 8 * 14, CR14_RESET);
  sie.setU64(SD.GBEA_OR_SIDA, 1n);
  sie.setU32(SD.FACILITY_LIST, facilities);
}
