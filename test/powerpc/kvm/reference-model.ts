import { expect } from 'vitest';
import { type GuestPhysical, H_CODE, registerToCode, U_CODE } from '../../../src/powerpc/abi.ts';
import type { SlotSpec } from '../../../src/powerpc/kvm/memslot.ts';
import { vmState } from '../../../src/powerpc/kvm/vm-state.ts';
import { type Machine, PAGE } from './machine.ts';

const { H_SUCCESS, H_PARAMETER, H_P2, H_P3, H_STATE, H_UNSUPPORTED } = H_CODE;
const [EBUSY, EINVAL] = [-16, -22];

/** A frame as seed 000, sections 1 and 5, has it; Secure in its two kinds. `page`: a normal page is behind it. */
interface Frame {
  state: 'normal' | 'uvmem' | 'out' | 'shared';
  page: boolean;
}

/** The pfn flags of seed 000, section 5, by their bits in Linux' book3s_hv_uvmem.c. */
const FLAGS: Readonly<Record<Frame['state'], bigint>> = {
  normal: 0n,
  uvmem: 1n << 63n,
  out: 1n << 62n,
  shared: 1n << 61n,
};

/** A call, or something that the host does; `honest`: the Ultravisor grants what it is asked for on the way. */
export type Step =
  | { readonly do: 'start' | 'done' | 'abort' | 'plug' | 'unplug' | 'svm-off'; readonly honest: boolean }
  | {
      readonly do: 'page-in' | 'page-out';
      readonly gfn: number;
      readonly flags: number;
      readonly order: number;
      readonly honest: boolean;
    }
  | { readonly do: 'host-write' | 'host-page-out'; readonly gfn: number; readonly honest: boolean };

/** What KVM must do, from seed 000 and power-pef.md 4.2 to 4.6, 5.5: a second account of it, as plain data. */
export class Model {
  vm: 'normal' | 'transient' | 'secure' = 'normal';
  readonly frames = new Map<number, Frame>();
  plugged = false;
  /** Slots that the Ultravisor has, by id. */
  readonly registered = new Set<number>();
  /** The slot that comes and goes. */
  readonly pluggable: SlotSpec;
  readonly #frames: number;
  readonly #securePfns: number;

  /** @param frames of slot 0; @param pluggable frames of slot 1, behind it */
  constructor(frames: number, pluggable: number, securePfns: number) {
    this.#frames = frames;
    this.#securePfns = securePfns;
    this.pluggable = { id: 1, base: (frames * PAGE) as GuestPhysical, size: pluggable * PAGE };
    for (let n = 0; n < frames; n++) this.frames.set(n, { state: 'normal', page: false });
  }

  clone(): Model {
    const copy = new Model(this.#frames, this.pluggable.size / PAGE, this.#securePfns);
    copy.frames.clear();
    for (const [n, frame] of this.frames) copy.frames.set(n, { ...frame });
    for (const id of this.registered) copy.registered.add(id);
    return Object.assign(copy, { vm: this.vm, plugged: this.plugged });
  }

  /** Equal for models that are equal. */
  key(): string {
    return JSON.stringify([
      this.vm,
      this.plugged,
      [...this.registered].sort(),
      [...this.frames].sort(([a], [b]) => a - b),
    ]);
  }

  get free(): number {
    return this.#securePfns - [...this.frames.values()].filter(({ state }) => state === 'uvmem').length;
  }

  /** Takes a step. @returns its status */
  apply(one: Step): number {
    switch (one.do) {
      case 'start':
        return this.start(one.honest);
      case 'done':
        return this.done();
      case 'abort':
        return this.abort(one.honest);
      case 'page-in':
        return this.pageIn(one.gfn, one.flags, one.order, one.honest);
      case 'page-out':
        return this.pageOut(one.gfn, one.flags, one.order, one.honest);
      case 'host-page-out':
        return this.hostPageOut(one.gfn, one.honest);
      case 'plug':
        return this.plug(one.honest);
      case 'unplug':
        return this.unplug();
      case 'svm-off':
        return this.svmOff();
      case 'host-write':
        return this.hostWrite(one.gfn);
    }
  }

  start(isHonest: boolean): number {
    if (this.vm !== 'normal') return H_STATE;
    this.vm = 'transient';
    if (!isHonest) return H_PARAMETER;
    this.registered.add(0);
    if (this.plugged) this.registered.add(1);
    return H_SUCCESS;
  }

  done(): number {
    if (this.vm !== 'transient') return H_UNSUPPORTED;
    const left = [...this.frames].filter(([n, { state }]) => state === 'normal' && this.#isRegistered(n));
    if (left.length > this.free) return H_STATE;
    for (const [, frame] of left) Object.assign(frame, { state: 'uvmem', page: false });
    this.vm = 'secure';
    return H_SUCCESS;
  }

  abort(isHonest: boolean): number {
    if (this.vm !== 'transient') return this.vm === 'secure' ? H_STATE : H_UNSUPPORTED;
    for (const frame of this.frames.values()) {
      const isSecure = frame.state === 'uvmem' || frame.state === 'out';
      Object.assign(frame, { state: 'normal', page: isSecure ? isHonest : frame.page });
    }
    this.registered.clear();
    this.vm = 'normal';
    // The status is the guest's, at its UV_ESM.
    return H_PARAMETER;
  }

  pageIn(n: number, flags: number, pageOrder: number, isHonest: boolean): number {
    if (this.vm === 'normal') return H_UNSUPPORTED;
    if (pageOrder !== 16) return H_P3;
    if ((flags & ~1) !== 0) return H_P2;
    const frame = this.frames.get(n);
    if (frame === undefined || !this.#isRegistered(n)) return H_PARAMETER;
    if (flags === 1) {
      if (!isHonest) return H_PARAMETER;
      Object.assign(frame, { state: 'shared', page: true });
      return H_SUCCESS;
    }
    if (frame.state === 'uvmem' || this.free === 0 || (frame.page && !isHonest)) return H_PARAMETER;
    Object.assign(frame, { state: 'uvmem', page: false });
    return H_SUCCESS;
  }

  pageOut(n: number, flags: number, pageOrder: number, isHonest: boolean): number {
    if (this.vm === 'normal') return H_UNSUPPORTED;
    if (pageOrder !== 16) return H_P3;
    if (flags !== 0) return H_P2;
    return this.hostPageOut(n, isHonest);
  }

  hostPageOut(n: number, isHonest: boolean): number {
    const frame = this.frames.get(n);
    if (frame === undefined) return H_PARAMETER;
    if (frame.state !== 'uvmem') return H_SUCCESS;
    if (!isHonest) return H_PARAMETER;
    Object.assign(frame, { state: 'out', page: true });
    return H_SUCCESS;
  }

  /** A store of the VMM: −1 where it would need a page that is in secure memory, or that there is not. */
  hostWrite(n: number): number {
    const frame = this.frames.get(n);
    if (frame === undefined || frame.state === 'uvmem') return -1;
    frame.page = true;
    return 0;
  }

  plug(isHonest: boolean): number {
    if (this.plugged) return EINVAL;
    this.plugged = true;
    const secure = this.vm !== 'normal' && this.free >= this.#plugFrames.length && isHonest;
    for (const n of this.#plugFrames) this.frames.set(n, { state: secure ? 'uvmem' : 'normal', page: false });
    if (secure) this.registered.add(1);
    return 0;
  }

  unplug(): number {
    if (!this.plugged) return EINVAL;
    this.plugged = false;
    for (const n of this.#plugFrames) this.frames.delete(n);
    this.registered.delete(1);
    return 0;
  }

  /** KVM_PPC_SVM_OFF while a vCPU could run. */
  svmOff(): number {
    return this.vm === 'normal' ? 0 : EBUSY;
  }

  /** The same when none can: section 6, column "terminate". */
  terminated(): void {
    for (const frame of this.frames.values()) {
      Object.assign(frame, { state: 'normal', page: frame.page && frame.state !== 'out' });
    }
    this.registered.clear();
    this.vm = 'normal';
  }

  get #plugFrames(): number[] {
    return Array.from({ length: this.pluggable.size / PAGE }, (_, i) => this.#frames + i);
  }

  #isRegistered(n: number): boolean {
    return this.registered.has(n < this.#frames ? 0 : 1);
  }
}

/** An Ultravisor that refuses can refuse everything but the end of a VM or a slot. */
const NEVER_REFUSED = ['UV_SVM_TERMINATE', 'UV_UNREGISTER_MEM_SLOT', 'UV_WRITE_PATE', 'UV_RETURN'];
/** A hypercall that nobody knows: any entry into the hypervisor. */
const NOTHING = 0x5550;

/** Takes a step on both sides and compares the statuses, and of a refused one that it changed nothing. @returns the status */
export function run(m: Machine, model: Model, one: Step, before: string = m.snapshot()): number {
  m.answer = ({ name }) => (one.honest || NEVER_REFUSED.includes(name) ? U_CODE.U_SUCCESS : U_CODE.U_PARAMETER);
  const old = model.vm;
  const expected = model.apply(one);
  expect(act({ m, model, state: old }, one), JSON.stringify(one)).toBe(expected);
  // A refused H_SVM_INIT_START has flagged the VM all the same (10.2 #37); a status of the abort is its success.
  const refused = expected !== 0 && model.vm === old && !(one.do === 'abort' && old === 'transient');
  if (refused) expect(m.snapshot(), JSON.stringify(one)).toBe(before);
  return expected;
}

/** @returns the status, undefined if a job of the host did not come to an end */
function act({ m, model, state }: { m: Machine; model: Model; state: Model['vm'] }, one: Step): number | undefined {
  /** A job of the host's own, at the next entry into the hypervisor. */
  const hosted = (schedule: () => { readonly result?: number | undefined }): number | undefined => {
    const job = schedule();
    m.hypercall(NOTHING, [], state !== 'normal');
    return job.result;
  };
  const { kvm, vm } = m;
  switch (one.do) {
    case 'start':
      return m.upcall('H_SVM_INIT_START');
    case 'done':
      return m.upcall('H_SVM_INIT_DONE');
    case 'abort': {
      const left = m.hypercall('H_SVM_INIT_ABORT');
      return left.to === 'ultravisor' ? left.status : registerToCode(m.port.gpr(3));
    }
    case 'page-in':
      return m.upcall('H_SVM_PAGE_IN', one.gfn * PAGE, one.flags, one.order);
    case 'page-out':
      return m.upcall('H_SVM_PAGE_OUT', one.gfn * PAGE, one.flags, one.order);
    case 'host-page-out':
      return hosted(() => kvm.schedulePageOut(vm, one.gfn));
    case 'plug':
      return hosted(() => kvm.scheduleSlotCreate(vm, model.pluggable));
    case 'unplug':
      return hosted(() => kvm.scheduleSlotDelete(vm, model.pluggable.id));
    case 'svm-off':
      return hosted(() => kvm.scheduleSvmOff(vm));
    case 'host-write':
      return hostWrite(m, one.gfn);
  }
}

/** 0, or −1 where the host has no page that it could write. */
function hostWrite(m: Machine, n: number): number {
  try {
    m.kvm.memory.write(m.vm, n * PAGE, Uint8Array.of(n));
    return 0;
  } catch {
    return -1;
  }
}

/** States, flags and pages as the model has them; no page and no secure-PFN is behind two frames. */
export function compare(m: Machine, model: Model, tables: number): void {
  expect(vmState(m.vm.secureGuest)).toBe(model.vm);
  expect(m.vm.slots.filter(({ registered }) => registered).map(({ id }) => id)).toEqual([...model.registered]);
  const pages = new Set<number>();
  const pfns = new Set<bigint>();
  for (const [n, { state, page }] of model.frames) {
    const pfn = m.pfn(n);
    expect((pfn >> 61n) << 61n, `frame ${n}`).toBe(FLAGS[state]);
    expect(m.page(n) >= 0, `frame ${n} has a page`).toBe(page);
    if (page) pages.add(m.page(n));
    if (state === 'uvmem') pfns.add(pfn);
  }
  expect(pages.size).toBe([...model.frames.values()].filter(({ page }) => page).length);
  expect(pfns.size).toBe([...model.frames.values()].filter(({ state }) => state === 'uvmem').length);
  expect(m.kvm.pages.used).toBeLessThanOrEqual(tables + pages.size);
}
