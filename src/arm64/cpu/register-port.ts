import type { RealAddress } from '../../machine/types.ts';
import type { ExceptionLevel } from '../abi.ts';
import { fpcr, fpsr, v, vHigh, x } from '../isa/state.ts';
import { setStackPointer, stackPointer } from './banked.ts';
import type { Core } from './core.ts';
import { type RegisterPort, RegisterRefused } from './port.ts';
import { type RegisterParts, readRegister, writeRegister } from './register-access.ts';
import { type SystemRegister, systemRegister } from './register-table.ts';

type Slots = typeof x.slots;
const slotOf = (slots: Slots, n: number): Slots[number] => {
  const slot = slots[n];
  if (slot === undefined) throw new RangeError(`no register ${n}`);
  return slot;
};

/** Registers of the GIC's CPU interface, which lie behind it and not in the PE. */
const isGicRegister = (name: string): boolean => name.startsWith('ICC_') || name.startsWith('ICH_');

/** The registers of a PE for native code at the level in control. Using it after having left the level is a mistake of ours and throws. */
export class LevelPort implements RegisterPort {
  readonly #core: Core;
  readonly #parts: RegisterParts;
  readonly #stubs: RealAddress;
  readonly #invalidate: () => void;
  #inControl = false;

  constructor(core: Core, parts: RegisterParts, stubs: RealAddress, invalidate: () => void) {
    this.#core = core;
    this.#parts = parts;
    this.#stubs = stubs;
    this.#invalidate = invalidate;
  }

  /** Runs `handler` while the level is in control. */
  during<T>(handler: () => T): T {
    this.#inControl = true;
    try {
      return handler();
    } finally {
      this.#inControl = false;
    }
  }

  get cpu(): number {
    return this.#core.index;
  }

  get stubPage(): bigint {
    return BigInt(this.#stubs);
  }

  get clock(): bigint {
    return this.#core.clock();
  }

  x(n: number): bigint {
    return this.#live.context.get64(slotOf(x.slots.slice(0, 31), n));
  }

  setX(n: number, value: bigint): void {
    this.#live.context.set64(slotOf(x.slots.slice(0, 31), n), value);
  }

  sp(level: ExceptionLevel): bigint {
    return stackPointer(this.#below(level).context, level);
  }

  setSp(level: ExceptionLevel, value: bigint): void {
    setStackPointer(this.#below(level).context, level, value);
  }

  v(n: number): readonly [bigint, bigint] {
    const { context } = this.#live;
    return [context.get64(slotOf(v.slots, n)), context.get64(slotOf(vHigh.slots, n))];
  }

  setV(n: number, low: bigint, high: bigint): void {
    const { context } = this.#live;
    context.set64(slotOf(v.slots, n), low);
    context.set64(slotOf(vHigh.slots, n), high);
  }

  fpcr(): bigint {
    return this.#live.context.get64(fpcr);
  }

  setFpcr(value: bigint): void {
    this.#live.context.set64(fpcr, value);
  }

  fpsr(): bigint {
    return this.#live.context.get64(fpsr);
  }

  setFpsr(value: bigint): void {
    this.#live.context.set64(fpsr, value);
  }

  pstate(): bigint {
    return this.#live.pstate;
  }

  register(name: string): bigint {
    const core = this.#live;
    const register = systemRegister(name);
    if (register.read === 'no' || core.level < register.read) throw new RegisterRefused(name, false);
    return isGicRegister(name) ? this.#gic(register, null) : readRegister(core, this.#parts, register);
  }

  setRegister(name: string, value: bigint): void {
    const core = this.#live;
    const register = systemRegister(name);
    if (register.write === 'no' || core.level < register.write) throw new RegisterRefused(name, true);
    const wide = BigInt.asUintN(64, value);
    if (isGicRegister(name)) this.#gic(register, wide);
    else writeRegister(core, this.#parts, register, wide);
  }

  #gic(register: SystemRegister, value: bigint | null): bigint {
    const result = this.#parts.gicRegister(register, value);
    if (result === null) throw new RegisterRefused(register.name, value !== null);
    return result;
  }

  invalidateTranslations(): void {
    this.#invalidate();
  }

  #below(level: ExceptionLevel): Core {
    const core = this.#live;
    if (level > core.level) throw new RegisterRefused(`SP_EL${level}`, false);
    return core;
  }

  get #live(): Core {
    if (!this.#inControl) throw new Error('native code uses a PE that it has left');
    return this.#core;
  }
}
