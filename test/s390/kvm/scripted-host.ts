import { HostView } from '../../../src/machine/host-view.ts';
import { makeStore } from '../../../src/machine/make-store.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { UV_QUERY, UVC, UVCB, type UvcName } from '../../../src/s390/abi.ts';
import { ENTRIES, type RegisterPort, STUBS, type Stub } from '../../../src/s390/cpu/host-port.ts';
import type { FloatingInterruption, FloatingInterruptions, InterruptionMasks } from '../../../src/s390/cpu/port.ts';
import { Kvm } from '../../../src/s390/kvm/kvm.ts';
import type { UserSpace } from '../../../src/s390/kvm/user-space.ts';
import type { Vm } from '../../../src/s390/kvm/vm.ts';

/** A command as the Ultravisor got it. */
export interface Issued {
  readonly name: UvcName;
  readonly block: Uint8Array;
}

/** What the Ultravisor is to answer: a response code, with condition code 0 for 1 and else 1; or fields to put into the block. */
export interface Scripted {
  readonly rc?: number;
  readonly rrc?: number;
  readonly handle?: bigint;
}

const GUEST_MEMORY = 0x20_0000;
const RAM = 0x80_0000;
const HIGH = 0x8000_0000;

/** Sizes that the scripted Ultravisor tells. */
export const UV_SIZES = {
  base: 0x10_0000,
  configBase: 0x6000,
  variableBase: 0x3000,
  perMiB: 0x1000,
  cpu: 0x2000,
  dumpState: 0x1000,
  dumpComplete: 0x1000,
} as const;

/** The KVM half with no CPU under it: registers are plain fields, UVC is answered by a script, and whoever is put into SIE is told. */
export class ScriptedHost {
  readonly view: HostView;
  readonly kvm: Kvm;
  readonly vm: Vm;
  /** Commands since the last `take`. */
  #issued: Issued[] = [];
  /** Answers by command; without one it succeeds. */
  readonly script = new Map<UvcName, Scripted[]>();
  readonly queued: FloatingInterruption[] = [];
  block: Uint8Array | null = null;
  resets = 0;
  loads = 0;
  /** General registers of the CPU. */
  readonly gr = new Array<bigint>(16).fill(0n);
  #cc = 0;
  #handles = 0x100n;
  #stub: Stub = 'wait';

  constructor(vcpus = 2) {
    const regions = [
      { name: 'ram', base: 0 as RealAddress, size: RAM, secure: false },
      { name: 'high', base: HIGH as RealAddress, size: 0x20_0000, secure: false },
    ];
    const store = makeStore(regions, 65536);
    this.view = new HostView(new RealMemory(store, regions), { agent: 'hypervisor', secure: false }, null, () => 0n);
    this.kvm = new Kvm({
      view: this.view,
      storage: [
        { base: 0x2000 as RealAddress, size: RAM - 0x2000 },
        { base: HIGH as RealAddress, size: 0x20_0000 },
      ],
      prefixes: [0 as RealAddress],
      ultravisor: true,
      trace: null,
      tod: () => 0n,
      kick: () => {},
    });
    this.vm = this.kvm.createVm(
      { name: 'vm', memory: GUEST_MEMORY, vcpus, facilities: new Uint8Array(32) },
      () => this.#userSpace,
    );
    this.#stub = this.kvm.enter(this.#port, ENTRIES.restart);
    this.settle();
  }

  /** Answers UVCs until the hypervisor leaves in another way. */
  settle(): Stub {
    while (this.#stub === 'uvc') this.#stub = this.#answer();
    return this.#stub;
  }

  /** The hypervisor gets control by an external interruption. */
  interrupt(): Stub {
    this.#stub = this.kvm.enter(this.#port, ENTRIES.external);
    return this.settle();
  }

  /** SIE ends with what stands in the state description. */
  intercept(): Stub {
    this.#stub = this.kvm.enter(this.#port, STUBS.sie.address + 4);
    return this.settle();
  }

  /** State description that SIE was issued with last. */
  get inSie(): bigint {
    return this.gr[14] as bigint;
  }

  /** Names of the commands since the last call. */
  names(): UvcName[] {
    return this.take().map(({ name }) => name);
  }

  take(): Issued[] {
    const issued = this.#issued;
    this.#issued = [];
    return issued;
  }

  #answer(): Stub {
    const at = Number(this.gr[3]) as RealAddress;
    const head = new DataView(this.view.read(at, 4).buffer);
    const block = this.view.read(at, head.getUint16(0));
    const entry = Object.entries(UVC).find(([, { number }]) => number === head.getUint16(2));
    if (entry === undefined) throw new Error(`no command 0x${head.getUint16(2).toString(16)}`);
    const name = entry[0] as UvcName;
    this.#issued.push({ name, block: block.slice() });
    const { rc = 1, rrc = 0, handle } = this.script.get(name)?.shift() ?? {};
    const view = new DataView(block.buffer);
    view.setUint16(UVCB.RC, rc);
    view.setUint16(UVCB.RRC, rrc);
    if (name === 'QUERY') fillQuery(view);
    if (name === 'CREATE_CONFIG' || name === 'CREATE_CPU') {
      const given = handle ?? (rc === 1 ? ++this.#handles : undefined);
      if (given !== undefined) view.setBigUint64(UVCB.HANDLE, given);
    }
    this.view.write(at, block);
    this.#cc = rc === 1 ? 0 : 1;
    return this.kvm.enter(this.#port, STUBS.uvc.address + 4);
  }

  readonly #floating: FloatingInterruptions = {
    due: (masks) => this.queued.some((one) => isOpen(masks, one)),
    take: (masks) => {
      const at = this.queued.findIndex((one) => isOpen(masks, one));
      return at < 0 ? null : (this.queued.splice(at, 1)[0] as FloatingInterruption);
    },
  };

  readonly #userSpace: UserSpace = (() => {
    const host = this;
    return {
      services: {
        instructions: new Map(),
        diagnose: new Map([[0x500, () => 'done' as const]]),
        interruptions: this.#floating,
        poll: () => {},
        deadline: null,
        virtualMachine: null,
      },
      subsystemReset: () => {
        this.resets += 1;
      },
      load: () => {
        this.loads += 1;
        return { mask: 0x180000000n, address: 0x10000n };
      },
      disabledWait: () => {},
      get protectedBlock() {
        return host.block;
      },
    };
  })();

  readonly #port: RegisterPort = {
    cpu: 0,
    clock: 0n,
    gr: (n) => this.gr[n] as bigint,
    setGr: (n, value) => {
      this.gr[n] = value;
    },
    fpr: () => 0n,
    setFpr: () => {},
    ar: () => 0,
    setAr: () => {},
    cr: () => 0n,
    setCr: () => {},
    fpc: () => 0,
    setFpc: () => {},
    cc: () => this.#cc,
    prefix: () => 0,
    tod: () => 0n,
    cpuTimer: () => 0n,
    setCpuTimer: () => {},
    clockComparator: () => 0n,
    setClockComparator: () => {},
    invalidateTranslations: () => {},
    signal: () => {},
  };
}

function isOpen(masks: InterruptionMasks, { kind }: FloatingInterruption): boolean {
  if (kind === 'machine-check') return masks.machineCheck !== 0;
  return kind === 'io' ? masks.io !== 0 : (masks.external & 0x200) !== 0;
}

function fillQuery(view: DataView): void {
  for (let at = 0; at < 32; at += 8) view.setBigUint64(UV_QUERY.CALLS + at, 0xffff_ffff_ffff_ffffn);
  view.setBigUint64(UV_QUERY.BASE_STORAGE, BigInt(UV_SIZES.base));
  view.setBigUint64(UV_QUERY.CONFIG_BASE, BigInt(UV_SIZES.configBase));
  view.setBigUint64(UV_QUERY.CONFIG_VARIABLE_BASE, BigInt(UV_SIZES.variableBase));
  view.setBigUint64(UV_QUERY.CONFIG_VARIABLE, BigInt(UV_SIZES.perMiB));
  view.setBigUint64(UV_QUERY.CPU_STORAGE, BigInt(UV_SIZES.cpu));
  view.setBigUint64(UV_QUERY.DUMP_STORAGE_STATE, BigInt(UV_SIZES.dumpState));
  view.setBigUint64(UV_QUERY.DUMP_COMPLETE, BigInt(UV_SIZES.dumpComplete));
}
