/** Offsets in a PCI function's configuration space (PCI 3.0, 6.1, 6.2), and bits there. */
const REGISTER = {
  VENDOR: 0x00,
  DEVICE: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION: 0x08,
  CLASS: 0x09,
  BARS: 0x10,
  SUBSYSTEM_VENDOR: 0x2c,
  SUBSYSTEM: 0x2e,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;
const COMMAND = { MEMORY: 0x2, MASTER: 0x4, WRITABLE: 0x546, INTX_OFF: 0x400 } as const;
const STATUS = { INTERRUPT: 0x08, CAPABILITIES: 0x10 } as const;
const BAR_64_PREFETCHABLE = 0xc;

export const PCI_CONFIG_BYTES = 256;

/** What a function is, for whoever enumerates. */
export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor: number;
  readonly subsystem: number;
  readonly revision: number;
  /** Class, subclass, interface. */
  readonly classCode: number;
}

/** A memory BAR of 64 bits, prefetchable. */
export interface PciBar {
  /** Its first register of two, 0 to 4. */
  readonly index: number;
  /** Bytes, a power of two, 16 at least. */
  readonly size: number;
}

/** A capability: its bytes from the id on; the pointer to the next is filled in. */
export interface PciCapability {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The configuration space of a function with one memory BAR and interrupt pin A. Multi-byte registers are little-endian. */
export class PciConfig {
  readonly identity: PciIdentity;
  readonly bar: PciBar;
  readonly #bytes = new Uint8Array(PCI_CONFIG_BYTES);
  readonly #writable = new Uint8Array(PCI_CONFIG_BYTES);
  /** State after reset. */
  readonly #initial: Uint8Array;

  /** @param capabilities in the order of their list */
  constructor(identity: PciIdentity, bar: PciBar, capabilities: readonly PciCapability[]) {
    this.identity = identity;
    this.bar = bar;
    const view = new DataView(this.#bytes.buffer);
    view.setUint16(REGISTER.VENDOR, identity.vendor, true);
    view.setUint16(REGISTER.DEVICE, identity.device, true);
    view.setUint16(REGISTER.STATUS, STATUS.CAPABILITIES, true);
    view.setUint8(REGISTER.REVISION, identity.revision);
    view.setUint8(REGISTER.CLASS, identity.classCode & 0xff);
    view.setUint16(REGISTER.CLASS + 1, identity.classCode >> 8, true);
    view.setUint32(REGISTER.BARS + 4 * bar.index, BAR_64_PREFETCHABLE, true);
    view.setUint16(REGISTER.SUBSYSTEM_VENDOR, identity.subsystemVendor, true);
    view.setUint16(REGISTER.SUBSYSTEM, identity.subsystem, true);
    view.setUint8(REGISTER.CAPABILITIES, capabilities[0]?.offset ?? 0);
    view.setUint8(REGISTER.INTERRUPT_PIN, 1);
    for (const [i, { offset, bytes }] of capabilities.entries()) {
      this.#bytes.set(bytes, offset);
      this.#bytes[offset + 1] = capabilities[i + 1]?.offset ?? 0;
    }
    this.#initial = this.#bytes.slice();
    const writable = new DataView(this.#writable.buffer);
    writable.setUint16(REGISTER.COMMAND, COMMAND.WRITABLE, true);
    writable.setBigUint64(REGISTER.BARS + 4 * bar.index, BigInt.asUintN(64, -BigInt(bar.size)), true);
    writable.setUint8(REGISTER.INTERRUPT_LINE, 0xff);
  }

  reset(): void {
    this.#bytes.set(this.#initial);
  }

  /** Makes bytes of a capability writable. */
  allow(offset: number, bytes: number): void {
    this.#writable.fill(0xff, offset, offset + bytes);
  }

  /** @param size 1, 2 or 4 */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 0x100 + this.#bytes[offset + i];
    return value;
  }

  /** @param size 1, 2 or 4 */
  write(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) {
      const mask = this.#writable[offset + i];
      const byte = (value >>> (8 * i)) & 0xff;
      this.#bytes[offset + i] = (this.#bytes[offset + i] & ~mask) | (byte & mask);
    }
  }

  /** Bus address of the BAR; undefined while memory accesses are off. */
  get barAddress(): number | undefined {
    const view = new DataView(this.#bytes.buffer);
    if ((view.getUint16(REGISTER.COMMAND, true) & COMMAND.MEMORY) === 0) return undefined;
    const address = view.getBigUint64(REGISTER.BARS + 4 * this.bar.index, true) & ~0xfn;
    return address > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(address);
  }

  /** The function may reach memory by itself. */
  get busMaster(): boolean {
    return (this.read(REGISTER.COMMAND, 2) & COMMAND.MASTER) !== 0;
  }

  /** The function may use its interrupt pin. */
  get intxEnabled(): boolean {
    return (this.read(REGISTER.COMMAND, 2) & COMMAND.INTX_OFF) === 0;
  }

  /** Shows in the status register whether an interrupt is pending. */
  set interruptPending(pending: boolean) {
    const status = this.#bytes[REGISTER.STATUS];
    this.#bytes[REGISTER.STATUS] = pending ? status | STATUS.INTERRUPT : status & ~STATUS.INTERRUPT;
  }
}

/** A function on a bus. */
export interface PciFunction {
  readonly config: PciConfig;
  reset(): void;
  /** @param size 1, 2 or 4 */
  configRead(offset: number, size: number): number;
  configWrite(offset: number, size: number, value: number): void;
  /** Bytes of its BAR; `size` is 1, 2, 4 or 8 and what it reads lies in the BAR. */
  barRead(offset: number, size: number): Uint8Array;
  barWrite(offset: number, bytes: Uint8Array): void;
  /** Its interrupt pin is up. */
  readonly interrupt: boolean;
}
