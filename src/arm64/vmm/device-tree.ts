import {
  cellsValue,
  type FdtNode,
  fdtNode,
  stringListValue,
  stringValue,
  u32Value,
  u64Value,
} from '../../image/fdt.ts';
import { affinityOf, PPI, PSCI } from '../abi.ts';
import { DISTRIBUTOR, type GuestRange, RAM_BASE, REDISTRIBUTORS, UART, UART_SPI, VIRTIO } from './layout.ts';

/** What differs between the device trees of two `virt` guests. */
export interface VirtTree {
  /** Bytes of memory, from `RAM_BASE`. */
  readonly memory: number;
  readonly cpus: number;
  readonly cmdline: string;
  readonly initrd: GuestRange | null;
  /** How PSCI is called. */
  readonly conduit: 'hvc' | 'smc';
  /** 32 bytes for `rng-seed`, 8 for `kaslr-seed`. */
  readonly rngSeed: Uint8Array;
  readonly kaslrSeed: Uint8Array;
}

const EMPTY = new Uint8Array(0);
const CLOCK_HZ = 24_000_000;
/** QEMU numbers its phandles from here: the clock, the CPUs from the last one down, the interrupt controller. */
const FIRST_PHANDLE = 0x8000;

/** First cell of an interrupt specifier, and its flags (Linux, arm,gic-v3.yaml). */
const INTERRUPT = { spi: 0, ppi: 1, edgeRising: 1, levelHigh: 4, firstPpi: 16 } as const;
/** The secure physical timer's interrupt: the first that the timer node names. */
const SECURE_TIMER_PPI = 29;

/** The device tree of a `virt` guest: what QEMU tells, of what is there (arm64-pkvm.md 9.4). */
export function virtTree(tree: VirtTree): FdtNode {
  const clock = FIRST_PHANDLE;
  const controller = FIRST_PHANDLE + tree.cpus + 1;
  return fdtNode(
    '',
    {
      'interrupt-parent': u32Value(controller),
      model: stringValue('linux,dummy-virt'),
      '#size-cells': u32Value(2),
      '#address-cells': u32Value(2),
      compatible: stringValue('linux,dummy-virt'),
    },
    [
      psci(tree.conduit),
      memory(tree.memory),
      ...virtioTransports(),
      uart(clock),
      interruptController(controller),
      cpus(tree.cpus),
      timer(),
      apbClock(clock),
      chosen(tree),
    ],
  );
}

function psci(conduit: 'hvc' | 'smc'): FdtNode {
  return fdtNode('psci', {
    migrate: u32Value(PSCI.MIGRATE_64),
    cpu_on: u32Value(PSCI.CPU_ON_64),
    cpu_off: u32Value(PSCI.CPU_OFF),
    cpu_suspend: u32Value(PSCI.CPU_SUSPEND_64),
    method: stringValue(conduit),
    compatible: stringListValue('arm,psci-1.0', 'arm,psci-0.2', 'arm,psci'),
  });
}

function memory(size: number): FdtNode {
  return fdtNode(`memory@${RAM_BASE.toString(16)}`, {
    reg: rangeValue({ base: RAM_BASE, size }),
    device_type: stringValue('memory'),
  });
}

/** All transports, whether something is plugged in or not. Their interrupts are edges. */
function virtioTransports(): FdtNode[] {
  return Array.from({ length: VIRTIO.count }, (_, n) => {
    const base = VIRTIO.base + n * VIRTIO.stride;
    return fdtNode(`virtio_mmio@${base.toString(16)}`, {
      'dma-coherent': EMPTY,
      interrupts: cellsValue(INTERRUPT.spi, VIRTIO.firstSpi + n, INTERRUPT.edgeRising),
      reg: rangeValue({ base, size: VIRTIO.stride }),
      compatible: stringValue('virtio,mmio'),
    });
  });
}

const UART_NAME = `pl011@${UART.base.toString(16)}`;

function uart(clock: number): FdtNode {
  return fdtNode(UART_NAME, {
    'clock-names': stringListValue('uartclk', 'apb_pclk'),
    clocks: cellsValue(clock, clock),
    interrupts: cellsValue(INTERRUPT.spi, UART_SPI, INTERRUPT.levelHigh),
    reg: rangeValue(UART),
    compatible: stringListValue('arm,pl011', 'arm,primecell'),
  });
}

function interruptController(phandle: number): FdtNode {
  return fdtNode(`intc@${DISTRIBUTOR.base.toString(16)}`, {
    phandle: u32Value(phandle),
    reg: join(rangeValue(DISTRIBUTOR), rangeValue(REDISTRIBUTORS)),
    '#redistributor-regions': u32Value(1),
    compatible: stringValue('arm,gic-v3'),
    ranges: EMPTY,
    '#size-cells': u32Value(2),
    '#address-cells': u32Value(2),
    'interrupt-controller': EMPTY,
    '#interrupt-cells': u32Value(3),
  });
}

function cpus(count: number): FdtNode {
  const phandleOf = (index: number): number => FIRST_PHANDLE + count - index;
  const all = Array.from({ length: count }, (_, index) => index);
  const map = fdtNode('cpu-map', {}, [
    fdtNode('socket0', {}, [
      fdtNode(
        'cluster0',
        {},
        all.map((index) => fdtNode(`core${index}`, { cpu: u32Value(phandleOf(index)) })),
      ),
    ]),
  ]);
  const nodes = all.map((index) =>
    // QEMU names them by position in decimal, whatever `reg` says.
    fdtNode(`cpu@${index}`, {
      phandle: u32Value(phandleOf(index)),
      reg: u32Value(affinityOf(index)),
      ...(count > 1 && { 'enable-method': stringValue('psci') }),
      compatible: stringValue('arm,cortex-a57'),
      device_type: stringValue('cpu'),
    }),
  );
  return fdtNode('cpus', { '#size-cells': u32Value(0), '#address-cells': u32Value(1) }, [map, ...nodes]);
}

function timer(): FdtNode {
  const lines = [SECURE_TIMER_PPI, PPI.physicalTimer, PPI.virtualTimer, PPI.hypTimer];
  return fdtNode('timer', {
    interrupts: cellsValue(
      ...lines.flatMap((intid) => [INTERRUPT.ppi, intid - INTERRUPT.firstPpi, INTERRUPT.levelHigh]),
    ),
    'always-on': EMPTY,
    compatible: stringListValue('arm,armv8-timer', 'arm,armv7-timer'),
  });
}

function apbClock(phandle: number): FdtNode {
  return fdtNode('apb-pclk', {
    phandle: u32Value(phandle),
    'clock-output-names': stringValue('clk24mhz'),
    'clock-frequency': u32Value(CLOCK_HZ),
    '#clock-cells': u32Value(0),
    compatible: stringValue('fixed-clock'),
  });
}

function chosen({ cmdline, initrd, rngSeed, kaslrSeed }: VirtTree): FdtNode {
  return fdtNode('chosen', {
    ...(initrd !== null && {
      'linux,initrd-end': u32Value(initrd.base + initrd.size),
      'linux,initrd-start': u32Value(initrd.base),
    }),
    ...(cmdline !== '' && { bootargs: stringValue(cmdline) }),
    'stdout-path': stringValue(`/${UART_NAME}`),
    'rng-seed': rngSeed,
    'kaslr-seed': kaslrSeed,
  });
}

/** Base and size of two cells each. */
function rangeValue({ base, size }: GuestRange): Uint8Array {
  return join(u64Value(BigInt(base)), u64Value(BigInt(size)));
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
