import {
  cellsValue,
  type Fdt,
  type FdtNode,
  type FdtReservation,
  fdtNode,
  stringListValue,
  stringValue,
  u32Value,
  u64Value,
} from '../../image/fdt.ts';
import { cpu, esmBlobProperties, rangeValue } from './device-tree.ts';
import type { GuestRange } from './layout.ts';

/** What differs between the device trees of two hosts. Addresses are real. */
export interface HostTreeOptions {
  readonly memory: readonly GuestRange[];
  readonly cpus: number;
  readonly cmdline: string;
  readonly initrd: GuestRange | null;
  /** The ESM blob of the host's guest, in memory. */
  readonly esmBlob?: GuestRange | null;
  readonly opal: {
    /** What R8 and R9 hold at the start. */
    readonly base: number;
    readonly entry: number;
    readonly size: number;
  };
  /** Secure memory of a machine with an Ultravisor; null without. */
  readonly secureMemory: readonly GuestRange[] | null;
  /** Memory that the host must leave alone. */
  readonly reserved: readonly GuestRange[];
}

const CONSOLE = '/ibm,opal/consoles/serial@0';

/** The device tree of a machine-code hypervisor, as skiboot hands it over (power-pef.md 9.3). */
export function hostTree(options: HostTreeOptions): Fdt {
  const { memory, secureMemory, reserved } = options;
  const root = fdtNode(
    '',
    {
      '#address-cells': u32Value(2),
      '#size-cells': u32Value(2),
      compatible: stringListValue('cloister,powernv', 'ibm,powernv'),
      model: stringValue('Cloister POWER9'),
    },
    [
      chosen(options),
      ...memory.map(memoryNode),
      cpus(options.cpus),
      opal(options),
      ...(secureMemory === null ? [] : [ultravisor(secureMemory), ...secureMemory.map(secureMemoryNode)]),
    ],
  );
  const reservations: FdtReservation[] = reserved.map(({ base, size }) => ({
    address: BigInt(base),
    size: BigInt(size),
  }));
  return { root, reservations, bootCpuidPhys: 0 };
}

function chosen({ cmdline, initrd, esmBlob = null }: HostTreeOptions): FdtNode {
  return fdtNode('chosen', {
    bootargs: stringValue(cmdline),
    'stdout-path': stringValue(CONSOLE),
    'linux,stdout-path': stringValue(CONSOLE),
    ...(initrd === null
      ? {}
      : {
          'linux,initrd-start': u64Value(BigInt(initrd.base)),
          'linux,initrd-end': u64Value(BigInt(initrd.base + initrd.size)),
        }),
    ...esmBlobProperties(esmBlob),
  });
}

function memoryNode(range: GuestRange): FdtNode {
  return fdtNode(`memory@${range.base.toString(16)}`, {
    device_type: stringValue('memory'),
    reg: rangeValue(range),
    'ibm,chip-id': u32Value(0),
  });
}

function cpus(count: number): FdtNode {
  const nodes = Array.from({ length: count }, (_, id) => cpu(id));
  for (const [id, { properties }] of nodes.entries()) properties.set('ibm,pir', u32Value(id));
  return fdtNode('cpus', { '#address-cells': u32Value(1), '#size-cells': u32Value(0) }, nodes);
}

function opal({ opal: { base, entry, size } }: HostTreeOptions): FdtNode {
  return fdtNode(
    'ibm,opal',
    {
      compatible: stringListValue('ibm,opal-v2', 'ibm,opal-v3'),
      'opal-base-address': u64Value(BigInt(base)),
      'opal-entry-address': u64Value(BigInt(entry)),
      'opal-runtime-size': u64Value(BigInt(size)),
    },
    [
      fdtNode('firmware', { compatible: stringValue('ibm,opal-firmware') }),
      fdtNode('consoles', { '#address-cells': u32Value(1), '#size-cells': u32Value(0) }, [
        fdtNode('serial@0', {
          compatible: stringValue('ibm,opal-console-raw'),
          device_type: stringValue('serial'),
          reg: u32Value(0),
        }),
      ]),
    ],
  );
}

/** Its presence tells the hypervisor that partition table and secure VMs go through ultracalls. */
function ultravisor(secureMemory: readonly GuestRange[]): FdtNode {
  const ranges = new Uint8Array(16 * secureMemory.length);
  for (const [i, range] of secureMemory.entries()) ranges.set(rangeValue(range), 16 * i);
  return fdtNode('ibm,ultravisor', { compatible: stringValue('ibm,ultravisor') }, [
    fdtNode('firmware', { compatible: stringValue('ibm,uv-firmware'), 'secure-memory-ranges': ranges }),
  ]);
}

function secureMemoryNode(range: GuestRange): FdtNode {
  return fdtNode(`secure-memory@${range.base.toString(16)}`, {
    compatible: stringValue('ibm,secure-memory'),
    device_type: stringValue('secure-memory'),
    reg: rangeValue(range),
    'ibm,chip-id': u32Value(0),
    'ibm,associativity': cellsValue(4, 0, 0, 0, 0),
  });
}
