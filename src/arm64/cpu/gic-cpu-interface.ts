import { HCR, PPI } from '../abi.ts';
import type { Core } from './core.ts';
import { takeUndefined } from './exceptions.ts';
import { type GicFace, type GicPort, type Group, PhysicalFace, VirtualFace } from './gic-faces.ts';
import type { GicInterface } from './gic-interface.ts';
import type { InterruptLines } from './interrupts.ts';
import { type SystemAccess, trapAccess } from './register-access.ts';
import { SYSTEM_REGISTERS, type SystemRegister } from './register-table.ts';
import { type GenericTimer, TIMERS } from './timers.ts';

/** What an acknowledge register reads where there is nothing to acknowledge (Arm IHI 0069H, 2.2.1). */
const SPURIOUS = 1023;
/** INTIDs from here are special, or no interrupts of ours. */
const FIRST_SPECIAL = 1020;
const IDLE_PRIORITY = 0xff;

/** The mask of the bits of a priority that decide preemption (4.8.3): group 1 has one less for the same binary point. */
function groupPriority(face: GicFace, group: Group, priority: number): number {
  const common = group === 1 && face.commonBinaryPoint;
  const point = common ? face.binaryPoint(0) : face.binaryPoint(group) - group;
  return priority & (0xff << (point + 1)) & 0xff;
}

/** Priority of the interrupt that is being handled; 0xff if none is. */
function runningPriority(face: GicFace): number {
  const active = (face.activePriorities(0) | face.activePriorities(1)) >>> 0;
  return active === 0 ? IDLE_PRIORITY : lowestBit(active) << 3;
}

const lowestBit = (value: number): number => 31 - Math.clz32(value & -value);

/** What would be signalled now: pending, above the mask, and able to preempt what is being handled. */
function signalled(face: GicFace): ReturnType<GicFace['pending']> {
  const pending = face.pending();
  if (pending === null || pending.priority >= face.priorityMask) return null;
  const running = runningPriority(face);
  const group = groupPriority(face, pending.group, pending.priority);
  return running === IDLE_PRIORITY || group < running ? pending : null;
}

function acknowledge(face: GicFace, group: Group): number {
  const pending = signalled(face);
  if (pending === null || pending.group !== group) return SPURIOUS;
  const bit = groupPriority(face, group, pending.priority) >> 3;
  face.setActivePriorities(group, (face.activePriorities(group) | (1 << bit)) >>> 0);
  face.activate(pending.intid);
  return pending.intid;
}

function highestPending(face: GicFace, group: Group): number {
  const pending = face.pending();
  return pending === null || pending.group !== group ? SPURIOUS : pending.intid;
}

/** End of interrupt: the running priority drops, and unless EOImode says otherwise the interrupt is deactivated. */
function endOfInterrupt(face: GicFace, group: Group, intid: number): void {
  if (intid >= FIRST_SPECIAL) return;
  const [zero, one] = [face.activePriorities(0), face.activePriorities(1)];
  const all = (zero | one) >>> 0;
  if (all === 0) return;
  const bit = 1 << lowestBit(all);
  if (((group === 0 ? zero : one) & bit) === 0) return;
  face.setActivePriorities(group, ((group === 0 ? zero : one) & ~bit) >>> 0);
  face.ended(intid, !face.splitEnd);
}

interface Behaviour {
  readonly read?: (face: GicFace) => number;
  readonly write?: (face: GicFace, value: number) => void;
}

/** The registers that EL1 has of its CPU interface, physical or virtual (Arm IHI 0069H, 12.2). */
const BEHAVIOUR: Readonly<Record<string, Behaviour>> = {
  ICC_PMR_EL1: {
    read: (face) => face.priorityMask,
    write: (face, value) => {
      face.priorityMask = value & 0xf8;
    },
  },
  ICC_CTLR_EL1: { read: (face) => face.control, write: (face, value) => face.setControl(value) },
  ICC_RPR_EL1: { read: runningPriority },
  ICC_DIR_EL1: {
    write: (face, value) => {
      if (face.splitEnd) face.deactivate(value & 0xffffff);
    },
  },
  ...Object.fromEntries(
    ([0, 1] as const).flatMap((group): [string, Behaviour][] => [
      [`ICC_IAR${group}_EL1`, { read: (face) => acknowledge(face, group) }],
      [`ICC_EOIR${group}_EL1`, { write: (face, value) => endOfInterrupt(face, group, value & 0xffffff) }],
      [`ICC_HPPIR${group}_EL1`, { read: (face) => highestPending(face, group) }],
      [
        `ICC_BPR${group}_EL1`,
        {
          read: (face) =>
            group === 1 && face.commonBinaryPoint ? Math.min(7, face.binaryPoint(0) + 1) : face.binaryPoint(group),
          write: (face, value) => {
            // A binary point below what 5 bits of priority can do is raised to it.
            if (group === 0 || !face.commonBinaryPoint) face.setBinaryPoint(group, Math.max(value & 7, 2 + group));
          },
        },
      ],
      [
        `ICC_AP${group}R0_EL1`,
        {
          read: (face) => face.activePriorities(group),
          write: (face, value) => face.setActivePriorities(group, value),
        },
      ],
      [
        `ICC_IGRPEN${group}_EL1`,
        {
          read: (face) => Number(face.enabled(group)),
          write: (face, value) => face.setEnabled(group, (value & 1) !== 0),
        },
      ],
    ]),
  ),
};

/** SGI registers: the group of the interrupt they send. With one security state ASGI1R is as SGI1R for the other one, of which there is none. */
const SGI_GROUP: Readonly<Record<string, Group>> = { ICC_SGI0R_EL1: 0, ICC_SGI1R_EL1: 1, ICC_ASGI1R_EL1: 0 };

/** HCR_EL2 bits that give EL1 the virtual interface: for its group, or for what both groups share. */
function routeOf(name: string): bigint {
  if (/^ICC_(IAR|EOIR|HPPIR|BPR|IGRPEN|AP)0/.test(name) || /^ICC_AP0/.test(name)) return HCR.FMO;
  if (/^ICC_(IAR|EOIR|HPPIR|BPR|IGRPEN|AP)1/.test(name)) return HCR.IMO;
  return HCR.FMO | HCR.IMO;
}

/** Traps of ICH_HCR_EL2: TC, TALL0, TALL1, TDIR. */
const ICH_HCR = { TC: 1n << 10n, TALL0: 1n << 11n, TALL1: 1n << 12n, TDIR: 1n << 14n } as const;

function trapOf(name: string): bigint {
  if (name === 'ICC_DIR_EL1') return ICH_HCR.TC | ICH_HCR.TDIR;
  const route = routeOf(name);
  if (route === HCR.FMO) return ICH_HCR.TALL0;
  return route === HCR.IMO ? ICH_HCR.TALL1 : ICH_HCR.TC;
}

/**
 * The GICv3 CPU interface of one PE: the ICC_ registers, for EL1 over list registers where HCR_EL2 says so, and the ICH_ registers (Arm IHI 0069H,
 * chapters 4 and 6). One security state: group 0 comes as FIQ, group 1 as IRQ.
 */
export class GicCpuInterface implements GicInterface {
  readonly #gic: GicPort;
  readonly #physical: PhysicalFace;
  readonly #virtual: VirtualFace;

  constructor(core: Core, gic: GicPort) {
    this.#gic = gic;
    this.#physical = new PhysicalFace(core, gic);
    this.#virtual = new VirtualFace(core, gic);
  }

  update(core: Core, timer: GenericTimer, lines: InterruptLines): void {
    for (const definition of TIMERS) this.#gic.setPpi(core.index, definition.intid, timer.asserted(definition));
    this.#gic.setPpi(core.index, PPI.maintenance, this.#virtual.maintenance() !== 0);
    const physical = signalled(this.#physical);
    lines.fiq = physical?.group === 0;
    lines.irq = physical?.group === 1;
    const virtual = this.#virtual.on ? signalled(this.#virtual) : null;
    lines.virtualFiq = virtual?.group === 0;
    lines.virtualIrq = virtual?.group === 1;
  }

  access(core: Core, access: SystemAccess, value: bigint): bigint | null {
    const register = SYSTEM_REGISTERS.get(access.encoding);
    const needed = register === undefined ? 'no' : access.read ? register.read : register.write;
    if (register === undefined || needed === 'no' || core.level < needed) {
      takeUndefined(core);
      return null;
    }
    if (register.name in SGI_GROUP) return this.#sendSgi(core, access, register, value);
    const behaviour = BEHAVIOUR[register.name];
    if (behaviour === undefined) return this.#accessPlain(core, register, access.read, value);
    const virtual = core.level === 1 && core.hcr(routeOf(register.name));
    if (core.level === 1 && (core.register('ICH_HCR_EL2') & trapOf(register.name)) !== 0n) {
      trapAccess(core, access, 2);
      return null;
    }
    const face = virtual ? this.#virtual : this.#physical;
    if (access.read) return BigInt(behaviour.read?.(face) ?? 0);
    behaviour.write?.(face, Number(value & 0xffffffffn));
    return 0n;
  }

  /** ICC_SRE and the ICH_ registers. */
  #accessPlain(core: Core, register: SystemRegister, read: boolean, value: bigint): bigint {
    if (read) return this.#virtual.computed(register.name) ?? core.register(register.name);
    const old = core.register(register.name);
    core.setRegister(register.name, (old & ~register.mask) | (value & register.mask));
    return 0n;
  }

  /** ICC_SGI1R_EL1 and its like (Arm IHI 0069H, 12.2.20): a list of 16 PEs of one cluster, or all but this one. */
  #sendSgi(core: Core, access: SystemAccess, register: SystemRegister, value: bigint): bigint | null {
    if (core.level === 1 && (core.hcr(HCR.FMO | HCR.IMO) || (core.register('ICH_HCR_EL2') & ICH_HCR.TC) !== 0n)) {
      trapAccess(core, access, 2);
      return null;
    }
    const field = (shift: bigint, bits: bigint): number => Number((value >> shift) & ((1n << bits) - 1n));
    const intid = field(24n, 4n);
    const all = field(40n, 1n) === 1;
    const cluster = (field(32n, 8n) << 8) | field(16n, 8n);
    const level3 = field(48n, 8n);
    const first = field(44n, 4n) * 16;
    this.#gic.affinities.forEach((affinity, pe) => {
      const listed =
        level3 === 0 &&
        affinity >>> 8 === cluster &&
        (affinity & 0xff) >= first &&
        (affinity & 0xff) < first + 16 &&
        field(BigInt(affinity & 15), 1n) === 1;
      if (all ? pe !== core.index : listed) this.#gic.sendSgi(pe, intid, SGI_GROUP[register.name] as Group);
    });
    return 0n;
  }
}
