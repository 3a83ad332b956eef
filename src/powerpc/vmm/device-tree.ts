import {
  cellsValue,
  type FdtNode,
  fdtNode,
  stringListValue,
  stringValue,
  u32Value,
  u64Value,
} from '../../image/fdt.ts';
import { RTAS_TEXT } from '../../image/rtas-text.ts';
import { PVR_POWER9_DD23, RTAS_TOKEN } from '../abi.ts';
import { type GuestRange, rtasSize, TIMEBASE_FREQUENCY, XICP_PHANDLE } from './layout.ts';
import type { Phb } from './phb.ts';
import { RTAS_CALLS } from './rtas.ts';
import { VTY_INTERRUPT, VTY_REG } from './vty.ts';

/** What differs between the device trees of two pseries guests. */
export interface PseriesTree {
  /** Bytes of memory, from 0. */
  readonly memory: number;
  readonly cpus: number;
  readonly cmdline: string;
  readonly kernel: GuestRange;
  readonly initrd: GuestRange | null;
  /** An ESM blob that lies outside the initrd, as a boot wrapper places it (power-pef.md 7.1). */
  readonly esmBlob?: GuestRange | null;
  /** Where the RTAS text is; null if the guest is to instantiate it. */
  readonly rtas: number | null;
  /** The PCI host bridge; null where there is no device for it. */
  readonly phb: Phb | null;
  /** What ibm,client-architecture-support agreed on; before it, nothing. */
  readonly architectureVec5: Uint8Array;
}

/** ibm,architecture-vec-5 before negotiation: a vector of one byte of zeros. */
export const NO_VEC5 = Uint8Array.of(0, 0);

const EMPTY = new Uint8Array(0);
const LMB_SIZE = 0x10000000;
const CACHE_LINE = 128;
const L1_SIZE = 32768;

/** Pairs of option vector 5 byte and what the platform can do there: XICS, radix only, nothing, GTSE (LoPAPR B.6.2.4). */
const PLATFORM_SUPPORT = Uint8Array.of(23, 0x00, 24, 0x40, 25, 0x00, 26, 0x40);

/** What the hypercalls can do, by LoPAPR's names. */
const HYPERTAS_PCI = ['hcall-tce', 'hcall-multi-tce'];
const HYPERTAS_FUNCTIONS = ['hcall-term', 'hcall-interrupt', 'hcall-vio', 'hcall-splpar', 'hcall-set-mode'];

/**
 * The device tree of a `pseries` guest: what QEMU tells, of what is there (power-pef.md 9.5). No phandles but the interrupt
 * controller's: Open Firmware adds the others.
 */
export function pseriesTree(tree: PseriesTree): FdtNode {
  return fdtNode(
    '',
    {
      '#size-cells': u32Value(2),
      '#address-cells': u32Value(2),
      compatible: stringValue('qemu,pseries'),
      model: stringValue('IBM pSeries (emulated by qemu)'),
      device_type: stringValue('chrp'),
    },
    [
      chosen(tree),
      rtas(tree),
      cpus(tree.cpus),
      ...(tree.phb === null ? [] : [tree.phb.node()]),
      vdevice(),
      hypervisor(),
      memory(tree.memory),
      interruptController(tree.cpus),
    ],
  );
}

function chosen({ cmdline, kernel, initrd, esmBlob = null, phb, architectureVec5 }: PseriesTree): FdtNode {
  const vty = `/vdevice/vty@${VTY_REG.toString(16)}`;
  return fdtNode('chosen', {
    'ibm,architecture-vec-5': architectureVec5,
    'ibm,arch-vec-5-platform-support': PLATFORM_SUPPORT,
    // The guest gives PCI functions their addresses.
    ...(phb === null ? {} : { 'linux,pci-probe-only': u32Value(0) }),
    'stdout-path': stringValue(vty),
    'linux,stdout-path': stringValue(vty),
    'qemu,boot-kernel': rangeValue(kernel),
    ...(initrd === null
      ? {}
      : {
          'linux,initrd-end': u32Value(initrd.base + initrd.size),
          'linux,initrd-start': u32Value(initrd.base),
        }),
    ...esmBlobProperties(esmBlob),
    bootargs: stringValue(cmdline),
  });
}

/** How `/chosen` tells of a blob (power-pef.md 7.1). */
export function esmBlobProperties(esmBlob: GuestRange | null): Record<string, Uint8Array> {
  if (esmBlob === null) return {};
  return {
    'linux,esm-blob-start': u64Value(BigInt(esmBlob.base)),
    'linux,esm-blob-end': u64Value(BigInt(esmBlob.base + esmBlob.size)),
  };
}

function rtas({ rtas: base, cpus: maxCpus, phb }: PseriesTree): FdtNode {
  const tokens = RTAS_CALLS.map((name) => [name, u32Value(RTAS_TOKEN[name])] as const);
  return fdtNode('rtas', {
    ...(base === null ? {} : { 'linux,rtas-entry': u32Value(base), 'linux,rtas-base': u32Value(base) }),
    ...Object.fromEntries(tokens),
    'ibm,lrdr-capacity': cellsValue(0, 0, 0, LMB_SIZE, maxCpus),
    'rtas-event-scan-rate': u32Value(1),
    'rtas-error-log-max': u32Value(2048),
    'rtas-size': u32Value(rtasSize(maxCpus)),
    'slof,rtas-size': u32Value(RTAS_TEXT.length),
    'ibm,hypertas-functions': stringListValue(...HYPERTAS_FUNCTIONS, ...(phb === null ? [] : HYPERTAS_PCI)),
  });
}

function cpus(count: number): FdtNode {
  const nodes: FdtNode[] = [];
  for (let id = 0; id < count; id++) nodes.push(cpu(id));
  return fdtNode('cpus', { '#size-cells': u32Value(0), '#address-cells': u32Value(1) }, nodes);
}

/** A POWER9 as the guest sees it. It has no vectors yet, so `ibm,vmx` and `ibm,dfp` are left out. */
export function cpu(id: number): FdtNode {
  return fdtNode(`PowerPC,POWER9@${id.toString(16)}`, {
    'ibm,dec-bits': u32Value(56),
    // AP << 29 | log2 of the page size, for 4K, 64K, 2M and 1G.
    'ibm,processor-radix-AP-encodings': cellsValue(0x0000000c, 0xa0000010, 0x20000015, 0x4000001e),
    'ibm,ppc-interrupt-gserver#s': cellsValue(id, 0),
    'ibm,ppc-interrupt-server#s': u32Value(id),
    'ibm,chip-id': u32Value(0),
    '64-bit': EMPTY,
    status: stringValue('okay'),
    'clock-frequency': u32Value(1_000_000_000),
    'timebase-frequency': u32Value(TIMEBASE_FREQUENCY),
    'i-cache-size': u32Value(L1_SIZE),
    'd-cache-size': u32Value(L1_SIZE),
    'i-cache-line-size': u32Value(CACHE_LINE),
    'i-cache-block-size': u32Value(CACHE_LINE),
    'd-cache-line-size': u32Value(CACHE_LINE),
    'd-cache-block-size': u32Value(CACHE_LINE),
    'cpu-version': u32Value(Number(PVR_POWER9_DD23)),
    device_type: stringValue('cpu'),
    reg: u32Value(id),
  });
}

function vdevice(): FdtNode {
  return fdtNode(
    'vdevice',
    {
      'interrupt-controller': EMPTY,
      '#interrupt-cells': u32Value(2),
      '#size-cells': u32Value(0),
      '#address-cells': u32Value(1),
      compatible: stringValue('IBM,vdevice'),
      device_type: stringValue('vdevice'),
    },
    [
      fdtNode(`vty@${VTY_REG.toString(16)}`, {
        // The second cell says that it is edge-triggered.
        interrupts: cellsValue(VTY_INTERRUPT, 0),
        compatible: stringValue('hvterm1'),
        device_type: stringValue('serial'),
        reg: u32Value(VTY_REG),
      }),
    ],
  );
}

/** XICS: the presentation controllers of all processors. Its phandle is QEMU's. */
function interruptController(servers: number): FdtNode {
  return fdtNode('interrupt-controller', {
    phandle: u32Value(XICP_PHANDLE),
    'linux,phandle': u32Value(XICP_PHANDLE),
    '#interrupt-cells': u32Value(2),
    'ibm,interrupt-server-ranges': cellsValue(0, servers),
    'interrupt-controller': EMPTY,
    compatible: stringValue('IBM,ppc-xicp'),
    device_type: stringValue('PowerPC-External-Interrupt-Presentation'),
  });
}

function hypervisor(): FdtNode {
  return fdtNode('hypervisor', { compatible: stringValue('linux,kvm') });
}

function memory(size: number): FdtNode {
  return fdtNode('memory@0', {
    'ibm,associativity': cellsValue(4, 0, 0, 0, 0),
    reg: rangeValue({ base: 0, size }),
    device_type: stringValue('memory'),
  });
}

/** Base and size of two cells each. */
export function rangeValue({ base, size }: GuestRange): Uint8Array {
  const value = new Uint8Array(16);
  value.set(u64Value(BigInt(base)));
  value.set(u64Value(BigInt(size)), 8);
  return value;
}
