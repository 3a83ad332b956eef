import type { ConsoleBackend } from './console.ts';
import type { MmioDevice, MmioSize } from './mmio.ts';

/** Registers (PrimeCell UART (PL011) TRM, ARM DDI 0183G, table 3-1). */
const REGISTER = {
  DR: 0x00,
  RSR: 0x04,
  FR: 0x18,
  ILPR: 0x20,
  IBRD: 0x24,
  FBRD: 0x28,
  LCRH: 0x2c,
  CR: 0x30,
  IFLS: 0x34,
  IMSC: 0x38,
  RIS: 0x3c,
  MIS: 0x40,
  ICR: 0x44,
  DMACR: 0x48,
} as const;

/** Registers that hold what was written: their bits, and their value after a reset (table 3-1). */
const PLAIN: ReadonlyMap<number, { readonly mask: number; readonly reset: number }> = new Map([
  [REGISTER.ILPR, { mask: 0xff, reset: 0 }],
  [REGISTER.IBRD, { mask: 0xffff, reset: 0 }],
  [REGISTER.FBRD, { mask: 0x3f, reset: 0 }],
  [REGISTER.LCRH, { mask: 0xff, reset: 0 }],
  [REGISTER.CR, { mask: 0xff87, reset: 0x300 }],
  [REGISTER.IFLS, { mask: 0x3f, reset: 0x12 }],
  [REGISTER.IMSC, { mask: 0x7ff, reset: 0 }],
  [REGISTER.DMACR, { mask: 7, reset: 0 }],
]);

/** UARTFR, 3.3.3. */
const FR = { RXFE: 1 << 4, RXFF: 1 << 6, TXFE: 1 << 7 } as const;
/** Interrupts in IMSC, RIS, MIS and ICR, 3.3.10. */
const INTERRUPT = { RX: 1 << 4, TX: 1 << 5 } as const;
/** UARTLCR_H.FEN: the FIFOs hold 16 characters, and else one. */
const FEN = 1 << 4;
const FIFO_DEPTH = 16;

/** UARTPeriphID0 to UARTPCellID3, from 0xfe0, each in a word of its own (3.3.15 to 3.3.22; revision r1p4). */
const ID_BASE = 0xfe0;
const ID = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1] as const;

/**
 * A PL011 UART. What is written is sent at once, so that the transmit FIFO is always empty; what was typed is there as soon as somebody looks.
 * As on QEMU it sends and receives also while UARTCR says that it is off, and the receive interrupt comes with the first character.
 */
export class Pl011 implements MmioDevice {
  readonly #console: ConsoleBackend;
  readonly #line: (level: boolean) => void;
  readonly #plain = new Map<number, number>();
  readonly #received: number[] = [];
  #raised = 0;

  /** @param line the interrupt output */
  constructor(console: ConsoleBackend, line: (level: boolean) => void) {
    this.#console = console;
    this.#line = line;
    this.reset();
  }

  /** As after power-on. */
  reset(): void {
    for (const [register, { reset }] of PLAIN) this.#plain.set(register, reset);
    this.#received.length = 0;
    this.#raised = 0;
    this.#drive();
  }

  /** Whether the guest waits for the interrupt that comes with what is typed. */
  get listening(): boolean {
    return (this.#held(REGISTER.IMSC) & INTERRUPT.RX) !== 0 && this.#received.length === 0;
  }

  /** Takes what was typed since the last look. */
  poll(): void {
    const room = ((this.#held(REGISTER.LCRH) & FEN) === 0 ? 1 : FIFO_DEPTH) - this.#received.length;
    if (room <= 0) return;
    const typed = this.#console.input(room);
    if (typed.length === 0) return;
    this.#received.push(...typed);
    this.#raised |= INTERRUPT.RX;
    this.#drive();
  }

  read(offset: number, _size: MmioSize): bigint {
    return BigInt(this.#read(offset & ~3));
  }

  write(offset: number, _size: MmioSize, value: bigint): void {
    this.#write(offset & ~3, Number(value & 0xffffn));
  }

  #read(register: number): number {
    switch (register) {
      case REGISTER.DR:
        return this.#receive();
      case REGISTER.FR:
        this.poll();
        return this.#flags();
      case REGISTER.RIS:
        this.poll();
        return this.#raised;
      case REGISTER.MIS:
        this.poll();
        return this.#raised & this.#held(REGISTER.IMSC);
      default:
        if (register >= ID_BASE) return ID[(register - ID_BASE) >> 2] ?? 0;
        return this.#held(register);
    }
  }

  #write(register: number, value: number): void {
    if (register === REGISTER.DR) {
      this.#console.output(Uint8Array.of(value & 0xff));
      this.#raised |= INTERRUPT.TX;
    } else if (register === REGISTER.ICR) {
      this.#raised &= ~value;
    } else {
      const plain = PLAIN.get(register);
      if (plain === undefined) return;
      // Turning the FIFOs off flushes them (3.3.8). Turning them on keeps what was typed before, which QEMU loses if it was so early.
      if (register === REGISTER.LCRH && (value & FEN) === 0 && (this.#held(register) & FEN) !== 0) this.#flush();
      this.#plain.set(register, value & plain.mask);
    }
    this.#drive();
  }

  #receive(): number {
    this.poll();
    const character = this.#received.shift() ?? 0;
    if (this.#received.length === 0) this.#raised &= ~INTERRUPT.RX;
    this.#drive();
    return character;
  }

  #flush(): void {
    this.#received.length = 0;
    this.#raised &= ~INTERRUPT.RX;
  }

  #flags(): number {
    const depth = (this.#held(REGISTER.LCRH) & FEN) === 0 ? 1 : FIFO_DEPTH;
    const waiting = this.#received.length;
    return FR.TXFE | (waiting === 0 ? FR.RXFE : 0) | (waiting >= depth ? FR.RXFF : 0);
  }

  #held(register: number): number {
    return this.#plain.get(register) ?? 0;
  }

  #drive(): void {
    this.#line((this.#raised & this.#held(REGISTER.IMSC)) !== 0);
  }
}
