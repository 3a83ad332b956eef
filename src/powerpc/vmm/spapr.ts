import type { ConsoleBackend } from '../../devices/console.ts';
import type { DiskBackend } from '../../devices/disk.ts';
import { VirtioCore } from '../../devices/virtio.ts';
import { VirtioBlk } from '../../devices/virtio-blk.ts';
import { ImageError } from '../../image/error.ts';
import { type FdtReservation, writeFdt } from '../../image/fdt.ts';
import type { ImageFile } from '../../image/image-file.ts';
import { RTAS_TEXT } from '../../image/rtas-text.ts';
import type { HostView } from '../../machine/host-view.ts';
import { OptionError } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import { type Gfn, type GuestPhysical, gfnOf, HCALL, MSR, UV_PAGE_SIZE } from '../abi.ts';
import { GuestFault, GuestMemory } from '../kvm/guest-memory.ts';
import type { LoadedGuest } from '../kvm/hostile/toolbox.ts';
import type { SlotCreateJob, SlotDeleteJob } from '../kvm/job.ts';
import type { Kvm } from '../kvm/kvm.ts';
import type { SlotSpec } from '../kvm/memslot.ts';
import type { HypercallResult, MmioAccess, PollStamp, UserHypercall, UserSpace } from '../kvm/user-space.ts';
import type { EntryState, Vm } from '../kvm/vm.ts';
import { NO_VEC5, pseriesTree } from './device-tree.ts';
import { DmaMemory } from './dma.ts';
import { type KernelImage, placeKernel } from './kernel-image.ts';
import {
  alignUp,
  CLIENT_ENTRY,
  FIRMWARE_SIZE,
  type GuestRange,
  LOW_MEMORY_LIMIT,
  STACK_BASE,
  STACK_POINTER,
  STACK_SIZE,
} from './layout.ts';
import { logicalCiLoad, logicalCiStore } from './logical-ci.ts';
import { OpenFirmware, type TreeChanges } from './openfirmware.ts';
import { PHB_INTERRUPTS, Phb } from './phb.ts';
import { hRtas, type RtasContext } from './rtas.ts';
import { VirtioPci } from './virtio-pci.ts';
import { VTY_INTERRUPT, Vty } from './vty.ts';

/** A `pseries` guest. */
export interface SpaprOptions {
  readonly name: string;
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  /** An ESM blob that the tree is to tell of; it may also be in the initrd. */
  readonly esmBlob?: ImageFile | null;
  readonly cmdline: string;
  /** Bytes of guest memory, a multiple of 64 KiB. */
  readonly memory: number;
  /** As much as it may have with what is plugged in while it runs; `memory` by default. */
  readonly maxMemory?: number;
  readonly cpus: number;
  /**
   * How the image is started: `of` as QEMU does, in 32-bit big-endian real mode with the Open Firmware client interface in R5; `fdt` in 64-bit
   * big-endian real mode with a device tree in R3.
   */
  readonly entry: 'of' | 'fdt';
  /** The VM may become secure. */
  readonly svmEnabled: boolean;
  readonly console: ConsoleBackend;
  /** A virtio block device in slot 0 of the PCI host bridge. */
  readonly disk?: DiskBackend;
  readonly trace: TraceSink | null;
}

/** Memory that was plugged in while the guest runs. */
export interface PluggedMemory {
  readonly slot: SlotSpec;
  /** Guest physical address of the first byte behind it. */
  readonly end: number;
  /** Its `result` is 0 or a negative errno once the hypervisor has done it. */
  readonly job: SlotCreateJob;
}

/** Room in a flat tree for whoever edits it in place, as UV_ESM adds reservations. */
const TREE_SPARE = 4096;
const MAX_CPUS = 256;
const INITRD_ALIGN = 0x10000;
/** QEMU leaves between one and two times its alignment before the initrd. */
const INITRD_GAP = 0x1ffff;

/** Code at `CLIENT_ENTRY`: `mr r4,r3; lis r3,0; ori r3,r3,0xf005; sc 1; blr`. */
const CLIENT_CALL = Uint8Array.of(
  ...[0x7c, 0x64, 0x1b, 0x78],
  ...[0x3c, 0x60, 0x00, 0x00],
  ...[0x60, 0x63, 0xf0, 0x05],
  ...[0x44, 0x00, 0x00, 0x22],
  ...[0x4e, 0x80, 0x00, 0x20],
);

/**
 * QEMU's half of a `pseries` virtual machine started with `-kernel`: it asks the KVM half for a VM, fills its memory, and serves the
 * hypercalls that KVM leaves to it (power-pef.md 9.5).
 */
export class Spapr implements UserSpace {
  readonly vm: Vm;
  /** What was loaded where. Worth attacking are the first two frames that the image begins with zeros: there a guest keeps what it computes. */
  readonly loaded: LoadedGuest;
  /** Guest memory with the rights of the VMM. */
  readonly memory: GuestMemory;
  readonly #vty: Vty;
  readonly #rtas: RtasContext;
  #firmware: OpenFirmware | null;
  readonly #kvm: Kvm;
  readonly #options: SpaprOptions;
  #plugged: PluggedMemory[] = [];
  #lastSlot = 0;
  readonly #plan: MemoryPlan;
  /** Devices are there only where somebody asked for one. */
  readonly #phb: Phb | null;

  /**
   * Makes the VM and fills its memory; it runs when the KVM half next has control.
   * @param view memory with the rights of the VMM
   * @param deviceView memory with the rights of a device
   * @throws ImageError for an image that cannot be placed
   * @throws OptionError for memory, CPUs or a command line that cannot be had
   */
  constructor(kvm: Kvm, view: HostView, options: SpaprOptions, deviceView: HostView = view) {
    this.#phb = options.disk === undefined ? null : this.#makeBridge(kvm, deviceView, options.disk, options.svmEnabled);
    const plan = planMemory(options, this.#phb);
    this.#kvm = kvm;
    this.#options = options;
    this.#plan = plan;
    this.loaded = loadedFrom(plan);
    const { memory: memorySize } = options;
    this.memory = new GuestMemory(view, kvm.pages);
    this.#vty = new Vty(options.console, options.trace);
    this.#rtas = {
      memory: this.memory,
      vty: this.#vty,
      memorySize,
      phb: this.#phb,
      pciAccessed: () => this.#updateInterrupts(),
      clockOffset: 0,
    };
    this.vm = kvm.createVm({
      name: options.name,
      slots: [{ id: 0, base: 0 as GuestPhysical, size: memorySize }],
      vcpus: options.cpus,
      svmEnabled: options.svmEnabled,
      entry: entryState(options, plan),
      userSpace: this,
    });
    kvm.claimInterrupt(this.vm, VTY_INTERRUPT);
    if (this.#phb !== null) for (const number of PHB_INTERRUPTS) kvm.claimInterrupt(this.vm, number, 'level');
    try {
      this.#load();
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      throw new OptionError('--memory', `${options.name}: ${error.message}`);
    }
    this.#firmware = plan.flat === null ? openFirmware(this.memory, options, plan, this.#phb) : null;
  }

  /**
   * Plugs in `size` bytes of memory, above all that the guest has, at the next entry into the hypervisor. The device tree tells nothing of it:
   * the guest must know.
   * @throws OptionError if it is more than `maxMemory` allows
   */
  plugMemory(size: number): PluggedMemory {
    if (size <= 0 || size % UV_PAGE_SIZE !== 0) {
      throw new OptionError('memory', `${size} bytes are not a positive multiple of 64 KiB`);
    }
    const { memory, maxMemory = memory } = this.#options;
    const base = this.#plugged.at(-1)?.end ?? memory;
    if (this.#plugged.reduce((sum, { slot }) => sum + slot.size, memory) + size > maxMemory) {
      throw new OptionError('memory', `${size} bytes more are over the most that the VM may have, ${maxMemory}`);
    }
    this.#lastSlot += 1;
    const slot = { id: this.#lastSlot, base: base as GuestPhysical, size };
    const job = this.#kvm.scheduleSlotCreate(this.vm, slot);
    const plugged = { slot, job, end: base + size };
    this.#plugged.push(plugged);
    return plugged;
  }

  /** Takes memory that was plugged in out again, at the next entry into the hypervisor. The guest is not asked. */
  unplugMemory(plugged: PluggedMemory): SlotDeleteJob {
    this.#plugged = this.#plugged.filter((other) => other !== plugged);
    return this.#kvm.scheduleSlotDelete(this.vm, plugged.slot.id);
  }

  /** Firmware, kernel, initrd and tree as at the start. As on QEMU, all other memory keeps what it holds, unless the VM was secure. */
  reset(vm: Vm): EntryState {
    for (const { base, bytes, end } of this.#plan.kernel.segments) {
      this.memory.write(vm, base + bytes.length, new Uint8Array(end - base - bytes.length));
    }
    this.#load();
    this.#phb?.reset();
    if (this.#plan.flat === null) this.#firmware = openFirmware(this.memory, this.#options, this.#plan, this.#phb);
    return entryState(this.#options, this.#plan);
  }

  #load(): void {
    const { initrd, esmBlob = null } = this.#options;
    const plan = this.#plan;
    for (const { base, bytes } of plan.kernel.segments) this.memory.write(this.vm, base, bytes);
    if (plan.initrd !== null && initrd !== null) this.memory.write(this.vm, plan.initrd.base, initrd.bytes);
    if (plan.esmBlob !== null && esmBlob !== null) this.memory.write(this.vm, plan.esmBlob.base, esmBlob.bytes);
    if (plan.flat === null) {
      this.memory.write(this.vm, CLIENT_ENTRY, CLIENT_CALL);
    } else {
      this.memory.write(this.vm, plan.flat.rtas, RTAS_TEXT);
      this.memory.write(this.vm, plan.flat.tree, plan.flat.bytes);
    }
  }

  /** Looks whether something was typed. */
  poll(stamp: PollStamp): void {
    if (this.vm.end === null && this.#vty.poll(stamp, this.vm)) this.#kvm.pulseInterrupt(this.vm, VTY_INTERRUPT);
  }

  hypercall(call: UserHypercall): HypercallResult | undefined {
    switch (call.number) {
      case HCALL.H_PUT_TERM_CHAR:
        return this.#vty.put(call);
      case HCALL.H_GET_TERM_CHAR:
        return this.#vty.get(call);
      case HCALL.H_VIO_SIGNAL:
        return this.#vty.signal(call);
      case HCALL.H_RTAS:
        return hRtas(this.#rtas, call);
      case HCALL.H_LOGICAL_CI_LOAD:
        return this.#afterAccess(logicalCiLoad(this.memory, this.#phb, call));
      case HCALL.H_LOGICAL_CI_STORE:
        return this.#afterAccess(logicalCiStore(this.memory, this.#phb, call));
      case HCALL.H_PUT_TCE:
      case HCALL.H_GET_TCE:
      case HCALL.H_STUFF_TCE:
      case HCALL.H_PUT_TCE_INDIRECT:
        return this.#phb?.iommu.hypercall(this.memory, call);
      case HCALL.H_VOF_CLIENT:
        return this.#firmware?.call(call);
      default:
        return undefined;
    }
  }

  mmioLoad({ address, size }: MmioAccess): Uint8Array | undefined {
    return this.#afterAccess(this.#phb?.load(address, size));
  }

  mmioStore({ address }: MmioAccess, bytes: Uint8Array): boolean {
    return this.#afterAccess(this.#phb?.store(address, bytes) ?? false);
  }

  /** Where the VM may become secure, the device goes through the I/O MMU, as QEMU has it for a confidential guest. */
  #makeBridge(kvm: Kvm, view: HostView, disk: DiskBackend, platform: boolean): Phb {
    const phb = new Phb();
    const memory = new DmaMemory(new GuestMemory(view, kvm.pages), () => this.vm, platform ? phb.iommu : null);
    phb.plug(0, new VirtioPci(new VirtioCore(new VirtioBlk(disk), memory, platform)));
    return phb;
  }

  #afterAccess<T>(result: T): T {
    this.#updateInterrupts();
    return result;
  }

  /** Lets the interrupt controller know which lines are up. */
  #updateInterrupts(): void {
    if (this.#phb === null) return;
    const up = this.#phb.interrupts();
    for (const number of PHB_INTERRUPTS) this.#kvm.setInterrupt(this.vm, number, up.has(number));
  }
}

function loadedFrom({ kernel: { segments, base, end }, initrd, flat }: MemoryPlan): LoadedGuest {
  const last = Math.max(...segments.map((s) => s.base + s.bytes.length));
  const zeros = alignUp(last, UV_PAGE_SIZE);
  const first = gfnOf((zeros < end ? zeros : base) as GuestPhysical);
  return {
    targets: [first, (first + 1) as Gfn],
    image: { base: base as GuestPhysical, size: last - base },
    initrd: initrd === null ? null : { base: initrd.base as GuestPhysical, size: initrd.size },
    tree: flat === null ? null : { base: flat.tree as GuestPhysical, size: flat.bytes.length },
  };
}

/** What goes where in guest memory. */
interface MemoryPlan {
  readonly kernel: KernelImage;
  readonly initrd: GuestRange | null;
  readonly esmBlob: GuestRange | null;
  /** The flat device tree and RTAS, in page frames of their own at the top of low memory; null with Open Firmware. */
  readonly flat: { readonly tree: number; readonly bytes: Uint8Array; readonly rtas: number } | null;
}

function planMemory(options: SpaprOptions, phb: Phb | null): MemoryPlan {
  const { memory, cpus, cmdline } = options;
  if (!Number.isSafeInteger(memory) || memory <= 0 || memory % UV_PAGE_SIZE !== 0) {
    throw new OptionError('--memory', `${memory} bytes are not a positive multiple of 64 KiB`);
  }
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) {
    throw new OptionError('--cpus', `${cpus} is not from 1 to ${MAX_CPUS}`);
  }
  if (cmdline.includes('\0')) throw new OptionError('--cmdline', 'it has a NUL within');
  const kernel = placeKernel(options.image, memory);
  const initrd = placeInitrd(options.initrd, kernel, memory);
  const esmBlob = placeEsmBlob(options.esmBlob ?? null, kernel, initrd, memory);
  // A secure VM must have an initrd (10.2 #74), if only an empty one.
  const placed = { kernel, initrd: initrd ?? (esmBlob && { base: esmBlob.base, size: 0 }), esmBlob };
  return { ...placed, flat: options.entry === 'fdt' ? placeTree(options, placed, phb) : null };
}

/** As QEMU, which takes the sum of the segments for the size of the kernel; behind the kernel where that is too low. */
function placeInitrd(file: ImageFile | null, kernel: KernelImage, memory: number): GuestRange | null {
  if (file === null || file.bytes.length === 0) return null;
  const after = kernel.base + kernel.size + INITRD_GAP;
  const base = Math.max(after - (after % INITRD_ALIGN), alignUp(kernel.end, INITRD_ALIGN));
  const end = base + file.bytes.length;
  if (end > memory) {
    const reason = `it would reach 0x${end.toString(16)}, guest memory ends at 0x${memory.toString(16)}`;
    throw new ImageError(file.file, 'initrd', reason);
  }
  return { base, size: file.bytes.length };
}

/** Behind all else, in pages of its own. */
function placeEsmBlob(
  file: ImageFile | null,
  kernel: KernelImage,
  initrd: GuestRange | null,
  memory: number,
): GuestRange | null {
  if (file === null) return null;
  const base = alignUp(initrd === null ? kernel.end : initrd.base + initrd.size, UV_PAGE_SIZE);
  if (base + file.bytes.length > memory) {
    throw new ImageError(file.file, 'ESM blob', `no room for it in guest memory of 0x${memory.toString(16)} bytes`);
  }
  return { base, size: file.bytes.length };
}

function placeTree(
  options: SpaprOptions,
  { kernel, initrd, esmBlob }: Omit<MemoryPlan, 'flat'>,
  phb: Phb | null,
): MemoryPlan['flat'] {
  const top = Math.min(options.memory, LOW_MEMORY_LIMIT);
  const rtas = top - UV_PAGE_SIZE;
  const tree = pseriesTree({
    memory: options.memory,
    cpus: options.cpus,
    cmdline: options.cmdline,
    kernel: { base: kernel.base, size: kernel.size },
    initrd,
    esmBlob,
    rtas,
    phb,
    architectureVec5: NO_VEC5,
  });
  const taken: GuestRange[] = [
    { base: kernel.base, size: kernel.end - kernel.base },
    ...(initrd === null ? [] : [initrd]),
    ...(esmBlob === null ? [] : [esmBlob]),
    { base: rtas, size: UV_PAGE_SIZE },
  ];
  const reservations: FdtReservation[] = taken.map(({ base, size }) => ({
    address: BigInt(base),
    size: BigInt(size),
  }));
  const bytes = writeFdt({ root: tree, reservations, bootCpuidPhys: 0 }, TREE_SPARE);
  const at = rtas - alignUp(bytes.length, UV_PAGE_SIZE);
  const lowest = Math.max(
    kernel.end,
    ...[initrd, esmBlob].map((range) => (range === null ? 0 : range.base + range.size)),
  );
  if (at < lowest) {
    throw new OptionError('--memory', `no room for the device tree above 0x${lowest.toString(16)}`);
  }
  return { tree: at, bytes, rtas };
}

/** The start state that was measured on QEMU 7.2 for `of`; the one of a kexec for `fdt` (power-pef.md 9.5). */
function entryState({ entry }: SpaprOptions, { kernel, initrd, flat }: MemoryPlan): EntryState {
  const pc = BigInt(kernel.base);
  const stack = BigInt(STACK_POINTER);
  if (entry === 'fdt') {
    return { pc, msr: MSR.SF | MSR.ME, gpr: { 1: stack, 3: BigInt(flat?.tree ?? 0), 4: pc, 5: 0n } };
  }
  const [start, size] = initrd === null ? [0, 0] : [initrd.base, initrd.size];
  return { pc, msr: 0n, gpr: { 1: stack, 3: BigInt(start), 4: BigInt(size), 5: BigInt(CLIENT_ENTRY) } };
}

function openFirmware(
  memory: GuestMemory,
  { memory: memorySize, cpus, cmdline, trace }: SpaprOptions,
  { kernel, initrd, esmBlob }: MemoryPlan,
  phb: Phb | null,
): OpenFirmware {
  const image = { base: kernel.base, size: kernel.size };
  const buildTree = (changes: TreeChanges) =>
    pseriesTree({
      memory: memorySize,
      cpus,
      cmdline: changes.bootargs ?? cmdline,
      kernel: image,
      initrd: changes.initrd,
      esmBlob,
      rtas: null,
      phb,
      architectureVec5: changes.architectureVec5 ?? NO_VEC5,
    });
  const claimed = [
    { base: 0, size: FIRMWARE_SIZE },
    { base: STACK_BASE, size: STACK_SIZE },
    image,
    ...(initrd === null ? [] : [initrd]),
    ...(esmBlob === null ? [] : [esmBlob]),
  ];
  return new OpenFirmware({ memory, top: Math.min(memorySize, 2 ** 32), claimed, buildTree, initrd, trace });
}
