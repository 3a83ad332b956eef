import type { CryptoProvider } from '../../crypto/provider.ts';
import { HostView } from '../../machine/host-view.ts';
import type { RealMemory } from '../../machine/memory.ts';
import type { RandomBytes } from '../../machine/random.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import { ICPT, SD } from '../abi.ts';
import type {
  GuestAnswer,
  GuestEvent,
  GuestPort,
  HostCall,
  HostCallAnswer,
  SieAnswer,
  SieRequest,
  UltravisorHardware,
  UltravisorSeat,
} from '../cpu/ultravisor-port.ts';
import { hostCall } from './calls.ts';
import type { UvContext } from './context.ts';
import { descriptionOf } from './description.ts';
import { guestEvent, leave, leaveCpu } from './events.ts';
import { pagesOf } from './host-storage.ts';
import { PAGE } from './limits.ts';
import { checkAccess } from './pages.ts';
import { secureFacilities } from './query.ts';
import type { SeCrypto } from './se-crypto.ts';
import { enterSie, resumeCpu } from './sie-entry.ts';
import type { Configuration, ConfigurationState, SecureCpuRecord } from './state.ts';

/** What an Ultravisor is made of. */
export interface UltravisorOptions {
  readonly memory: RealMemory;
  readonly hardware: UltravisorHardware;
  readonly crypto: CryptoProvider;
  /** The image format's part, with the host's private key in it. */
  readonly se: SeCrypto;
  /** Handles, and keys of pages that leave. */
  readonly random: RandomBytes;
  readonly trace: TraceSink | null;
  /** The machine clock, for the trace. */
  readonly clock: () => bigint;
  /** What STFLE stores for normal guests. */
  readonly facilities: Uint8Array;
}

/** What reports tell of a configuration. */
export interface ConfigurationReport {
  readonly number: number;
  readonly state: ConfigurationState;
  /** Pages by state. */
  readonly pages: Readonly<Record<string, number>>;
}

/**
 * The Ultravisor of IBM Z: firmware below the host, which owns the pages and registers of protected guests (s390-pv.md 1.1). It is reached by UVC and by SIE with a format-4 state
 * description, and asked who may reach a page.
 */
export class Ultravisor implements UltravisorSeat {
  readonly #uv: UvContext;

  constructor({ memory, hardware, crypto, se, random, trace, clock, facilities }: UltravisorOptions) {
    this.#uv = {
      memory,
      view: new HostView(memory, { agent: 'ultravisor', secure: true }, trace, clock),
      hardware,
      crypto,
      se,
      random,
      trace,
      clock,
      facilities: secureFacilities(facilities),
      state: { initialized: false, created: 0, configs: new Map(), cpus: new Map(), pages: new Map() },
    };
    memory.guard = (address, length) =>
      pagesOf(address, length).every((page) => checkAccess(this.#uv, page, null) === 0);
  }

  /** Configurations that there are. */
  report(): readonly ConfigurationReport[] {
    return [...this.#uv.state.configs.values()].map(({ number, state, pages }) => {
      const counts: Record<string, number> = {};
      for (const page of pages.values()) counts[page.state.toLowerCase()] = (counts[page.state.toLowerCase()] ?? 0) + 1;
      return { number, state, pages: counts };
    });
  }

  call(call: HostCall): HostCallAnswer {
    return hostCall(this.#uv, call);
  }

  enter(request: SieRequest): SieAnswer {
    return enterSie(this.#uv, request);
  }

  resume(port: GuestPort): Exclude<GuestAnswer, 'interpret'> {
    const cpu = this.#cpuOf(port);
    const entry = resumeCpu(this.#uv, cpu, port);
    if (typeof entry === 'object' && 'validity' in entry) {
      // The guest is as it was, and so is what is pending; only the host hears of it.
      leaveCpu(this.#uv, cpu, port);
      const sd = descriptionOf(this.#uv, cpu);
      sd.setU8(SD.ICPTCODE, ICPT.VALIDITY);
      sd.setU32(SD.IPB, entry.validity << 16);
      return 'leave';
    }
    if (entry === 'continue' && cpu.servcDone) {
      cpu.servcDone = false;
      return leave(this.#uv, cpu, port, { code: ICPT.SECURE_NOTIFICATION, ipa: 0xb220, ipb: 0 });
    }
    return entry;
  }

  event(port: GuestPort, event: GuestEvent): GuestAnswer {
    return guestEvent(this.#uv, this.#cpuOf(port), port, event);
  }

  interrupted(port: GuestPort): void {
    leave(this.#uv, this.#cpuOf(port), port, { code: ICPT.NONE });
  }

  check(page: RealAddress, guest: { readonly configuration: object; readonly page: number } | null): number {
    return checkAccess(this.#uv, page, guest);
  }

  reset(): void {
    const { state, view, hardware } = this.#uv;
    hardware.flushTranslations();
    for (const [page, { use }] of state.pages) if (use !== 'shared') view.fill(page as RealAddress, PAGE, 0);
    state.pages.clear();
    state.configs.clear();
    state.cpus.clear();
    state.initialized = false;
  }

  #cpuOf({ guest, cpu }: GuestPort): SecureCpuRecord {
    const config = guest.configuration as Configuration;
    const found = [...config.cpus.values()].find(({ runsOn, guest: state }) => runsOn === cpu && state === guest.state);
    if (found === undefined) throw new Error('SIE runs a CPU that the Ultravisor did not give it');
    return found;
  }
}
