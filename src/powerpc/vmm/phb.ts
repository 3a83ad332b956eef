import { cellsValue, type FdtNode, fdtNode, stringValue, u32Value } from '../../image/fdt.ts';
import { XICP_PHANDLE } from './layout.ts';
import { PCI_CONFIG_BYTES, type PciFunction } from './pci.ts';
import { TceTable } from './tce.ts';

/** The first host bridge of QEMU's `pseries`. */
const BUID_HIGH = 0x8000000;
const BUID_LOW = 0x20000000;
const LIOBN = 0x80000000;
const DMA_WINDOW = 0x40000000;
/** Interrupts of pins A to D of slot 0; those of the other slots are turned round by one each. */
export const PHB_INTERRUPTS = [0x1200, 0x1201, 0x1202, 0x1203] as const;
const SLOTS = 32;

/** Windows onto the bus, as guest physical addresses: low memory, at 2 GiB on the bus, and high memory, at the same address there. */
const WINDOWS = [
  { base: 0x2000_8000_0000, size: 0x8000_0000, bus: 0x8000_0000 },
  { base: 0x2100_0000_0000, size: 0x100_0000_0000, bus: 0x2100_0000_0000 },
] as const;
const IO_WINDOW = { base: 0x2000_0000_0000, size: 0x10000 };

/** Kinds of address in `ranges` and `reg` (Open Firmware PCI binding). */
const SPACE = { IO: 0x1000000, MEMORY: 0x2000000, MEMORY_64: 0x3000000, PREFETCHABLE: 0x40000000 } as const;

/** What a function of a bus answers at an address. */
interface Target {
  readonly fn: PciFunction;
  readonly offset: number;
}

/**
 * The PCI host bridge of a pseries guest (PAPR; QEMU's spapr-pci-host-bridge): one bus, reached by RTAS for configuration and by loads and
 * stores for the rest, with an I/O MMU that the guest fills.
 */
export class Phb {
  readonly iommu = new TceTable(LIOBN, DMA_WINDOW);
  readonly #functions = new Map<number, PciFunction>();

  /** Puts a function into a slot. */
  plug(slot: number, fn: PciFunction): void {
    this.#functions.set(slot, fn);
  }

  reset(): void {
    this.iommu.reset();
    for (const fn of this.#functions.values()) fn.reset();
  }

  /** The interrupt lines that are up. */
  interrupts(): ReadonlySet<number> {
    const up = new Set<number>();
    for (const [slot, fn] of this.#functions) if (fn.interrupt) up.add(interruptOf(slot));
    return up;
  }

  /** ibm,read-pci-config. @returns undefined if there is no such register */
  configRead(buid: readonly [number, number], address: number, size: number): number | undefined {
    const target = this.#register(buid, address, size);
    return target?.fn.configRead(target.offset, size);
  }

  /** ibm,write-pci-config. @returns false if there is no such register */
  configWrite(buid: readonly [number, number], address: number, size: number, value: number): boolean {
    const target = this.#register(buid, address, size);
    target?.fn.configWrite(target.offset, size, value);
    return target !== undefined;
  }

  /** A load of 1, 2, 4 or 8 bytes from a guest physical address, as they lie there; undefined if no function is there. */
  load(address: number, size: number): Uint8Array | undefined {
    const target = this.#memory(address, size);
    return target?.fn.barRead(target.offset, size);
  }

  /** A store. @returns false if no function is there */
  store(address: number, bytes: Uint8Array): boolean {
    const target = this.#memory(address, bytes.length);
    target?.fn.barWrite(target.offset, bytes);
    return target !== undefined;
  }

  /** Its node in the device tree, with the functions that are there. */
  node(): FdtNode {
    const ranges = [
      ...[SPACE.IO, 0, 0, ...u64(IO_WINDOW.base), ...u64(IO_WINDOW.size)],
      ...[SPACE.MEMORY, ...u64(WINDOWS[0].bus), ...u64(WINDOWS[0].base), ...u64(WINDOWS[0].size)],
      ...[SPACE.MEMORY_64, ...u64(WINDOWS[1].bus), ...u64(WINDOWS[1].base), ...u64(WINDOWS[1].size)],
    ];
    const children = [...this.#functions].map(([slot, fn]) => functionNode(slot, fn));
    return fdtNode(
      `pci@${BUID_HIGH.toString(16)}${BUID_LOW.toString(16).padStart(8, '0')}`,
      {
        '#size-cells': u32Value(2),
        '#address-cells': u32Value(3),
        'qemu,phb-enumerated': u32Value(1),
        'ibm,dma-window': cellsValue(LIOBN, 0, 0, 0, DMA_WINDOW),
        'ibm,#dma-size-cells': u32Value(2),
        'ibm,#dma-address-cells': u32Value(2),
        'interrupt-map': cellsValue(...interruptMap()),
        'interrupt-map-mask': cellsValue(0xf800, 0, 0, 0xffffffff),
        'ibm,pci-config-space-type': u32Value(1),
        reg: cellsValue(BUID_HIGH, BUID_LOW, 0, 0),
        ranges: cellsValue(...ranges),
        'bus-range': cellsValue(0, 0xff),
        'used-by-rtas': new Uint8Array(0),
        '#interrupt-cells': u32Value(1),
        compatible: stringValue('IBM,Logical_PHB'),
        device_type: stringValue('pci'),
      },
      children,
    );
  }

  /** Address: bus, device, function and register, whose bits above 7 are the uppermost. */
  #register([high, low]: readonly [number, number], address: number, size: number): Target | undefined {
    const offset = ((address >>> 28) << 8) | (address & 0xff);
    const devfn = (address >>> 8) & 0xffff;
    const fn = devfn % 8 === 0 ? this.#functions.get(devfn / 8) : undefined;
    if (fn === undefined || high !== BUID_HIGH || low !== BUID_LOW || ![1, 2, 4].includes(size)) return undefined;
    return offset % size === 0 && offset + size <= PCI_CONFIG_BYTES ? { fn, offset } : undefined;
  }

  #memory(address: number, size: number): Target | undefined {
    for (const { base, size: bytes, bus } of WINDOWS) {
      if (address < base || address + size > base + bytes) continue;
      const at = address - base + bus;
      for (const fn of this.#functions.values()) {
        const bar = fn.config.barAddress;
        if (bar !== undefined && at >= bar && at + size <= bar + fn.config.bar.size) return { fn, offset: at - bar };
      }
    }
    return undefined;
  }
}

function interruptOf(slot: number, pin = 0): number {
  return PHB_INTERRUPTS[(slot + pin) % PHB_INTERRUPTS.length];
}

/** For each slot and pin the interrupt, level-triggered. */
function interruptMap(): number[] {
  const map: number[] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    for (let pin = 0; pin < 4; pin++) map.push(slot << 11, 0, 0, pin + 1, XICP_PHANDLE, interruptOf(slot, pin), 1);
  }
  return map;
}

/** A node for a storage controller, which is all that there is. */
function functionNode(slot: number, { config: { identity, bar } }: PciFunction): FdtNode {
  const register = (slot << 11) | (0x10 + 4 * bar.index);
  return fdtNode(`scsi@${slot.toString(16)}`, {
    'max-latency': u32Value(0),
    'min-grant': u32Value(0),
    reg: cellsValue(slot << 11, 0, 0, 0, 0, SPACE.MEMORY_64 | SPACE.PREFETCHABLE | register, 0, 0, ...u64(bar.size)),
    'devsel-speed': u32Value(0),
    'cache-line-size': u32Value(0),
    'subsystem-vendor-id': u32Value(identity.subsystemVendor),
    'subsystem-id': u32Value(identity.subsystem),
    interrupts: u32Value(1),
    'class-code': u32Value(identity.classCode),
    'revision-id': u32Value(identity.revision),
    'device-id': u32Value(identity.device),
    'vendor-id': u32Value(identity.vendor),
  });
}

function u64(value: number): [number, number] {
  return [Math.floor(value / 2 ** 32), value % 2 ** 32];
}
