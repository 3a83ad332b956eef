import type { RealAddress } from '../../machine/types.ts';
import { PGM } from '../abi.ts';
import type { AbsoluteSpace, MachineStorage } from './absolute-storage.ts';
import type { Asce, Dat } from './dat.ts';
import type { SecureConfiguration, UltravisorSeat } from './ultravisor-port.ts';

/** Reason of a refusal that is the host's business: SIE ends with a program interruption of the host. No program interruption code is so large. */
export const HOST_EXCEPTION = 0x1_0000;

const PAGE = 0xfff;
const HIGH = 2 ** 32;

/** What a guest's storage depends on. */
export interface GuestExtent {
  /** Host primary virtual address of guest absolute 0 (MSO). */
  readonly origin: number;
  /** Last guest absolute address. */
  readonly limit: number;
  /** The host's CR1. */
  readonly asce: Asce;
  readonly configuration: SecureConfiguration | null;
}

/** Absolute storage of a guest under SIE: what the host's tables map at MSO and above, page by page, of which a protected guest gets what is secure for it. */
export class GuestStorage implements AbsoluteSpace {
  code = 0;
  writable = true;
  /** The host's exception behind the last `HOST_EXCEPTION`: code, host virtual address of the page, and whether it was a store. */
  readonly exception = { code: 0, page: 0, store: false };
  readonly #machine: MachineStorage;
  readonly #extent: GuestExtent;
  readonly #dat: Dat;
  readonly #seat: UltravisorSeat | null;
  readonly #locateMachine: (address: number, size: number) => number;

  /**
   * @param dat walks the host's tables
   * @param locateMachine host address of RAM, with no question of who owns it
   */
  constructor(
    machine: MachineStorage,
    extent: GuestExtent,
    dat: Dat,
    seat: UltravisorSeat | null,
    locateMachine: (address: number, size: number) => number,
  ) {
    this.#machine = machine;
    this.#extent = extent;
    this.#dat = dat;
    this.#seat = seat;
    this.#locateMachine = locateMachine;
  }

  locate(address: number, size: number, store: boolean): number {
    const { origin, limit, asce, configuration } = this.#extent;
    if (address + size - 1 > limit) {
      this.code = PGM.ADDRESSING;
      return -1;
    }
    const virtual = origin + address;
    const dat = this.#dat;
    if (!dat.translate(asce, Math.floor(virtual / HIGH), virtual | 0)) return this.#refuse(dat.code, virtual, store);
    if (dat.protected && store) return this.#refuse(PGM.PROTECTION, virtual, store);
    this.writable = !dat.protected;
    const absolute = dat.address;
    if (configuration === null) {
      const host = this.#machine.locate(absolute, size);
      return host < 0 ? this.#refuse(this.#machine.code, virtual, store) : host;
    }
    const host = this.#locateMachine(absolute, size);
    if (host < 0) return this.#refuse(PGM.ADDRESSING, virtual, store);
    const code = this.#seat?.check((absolute - (absolute & PAGE)) as RealAddress, {
      configuration,
      page: address - (address & PAGE),
    });
    return code === 0 ? host : this.#refuse(code ?? PGM.ADDRESSING, virtual, store);
  }

  #refuse(code: number, virtual: number, store: boolean): number {
    this.exception.code = code;
    this.exception.page = virtual - (virtual & PAGE);
    this.exception.store = store;
    this.code = HOST_EXCEPTION;
    return -1;
  }
}
