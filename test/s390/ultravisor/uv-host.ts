import { createHash } from 'node:crypto';
import { defaultProvider } from '../../../src/crypto/default.ts';
import { readP521PrivateKey } from '../../../src/crypto/p521-key.ts';
import { SeHost } from '../../../src/image/se/host.ts';
import { readSeImage } from '../../../src/image/se/image-reader.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { makeStore } from '../../../src/machine/make-store.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import { RandomSource } from '../../../src/machine/random.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { SD, UVC, UVCB, type UvcName } from '../../../src/s390/abi.ts';
import { facilityList } from '../../../src/s390/cpu/control-registers.ts';
import type { AddressKind, HostCall, HostCallAnswer } from '../../../src/s390/cpu/ultravisor-port.ts';
import { CPU_FACILITIES } from '../../../src/s390/machine.ts';
import { hostCall } from '../../../src/s390/ultravisor/calls.ts';
import type { UvContext } from '../../../src/s390/ultravisor/context.ts';
import { DEVELOPMENT_HOST_KEY } from '../../../src/s390/ultravisor/development-host-key.ts';
import { checkAccess } from '../../../src/s390/ultravisor/pages.ts';
import { s390SecureImage } from '../../support/s390-guest.ts';

const PAGE = 4096;
const MIB = 1 << 20;
/** Storage of the machine: below, and above 2 GiB for the Ultravisor. */
export const RAM = 12 * MIB;
export const HIGH = 0x8000_0000;
const HIGH_SIZE = 4 * MIB;

/** Bytes of the guests; MSO of the second is not 0. */
export const GUEST_SIZE = 2 * MIB;

/** Where the host keeps what. */
export const AT = {
  block: 0x10_0000,
  header: 0x11_0000,
  area: 0x13_0000,
  table: 0x15_0000,
  /** Of the first configuration; the second's are `SECOND` behind. */
  base: 0x20_0000,
  variable: 0x21_0000,
  sca: 0x22_0000,
  cpu: 0x23_0000,
  description: 0x24_0000,
  /** Storage of the guests. */
  guest: 0x40_0000,
  otherGuest: 0x60_0000,
  spare: 0x80_0000,
} as const;
export const SECOND = 0x10_0000;

export const ASCE = { first: 0xa0_0100n, second: 0xb0_0100n } as const;

/** Whether this is a page of the storage that INIT has taken: it is one for all. */
const isBase = (page: unknown): boolean => typeof page === 'number' && page >= HIGH && page < HIGH + 0x10_0000;

/** Fields of a control block: offset, bytes, value. */
export type UvcField = readonly [offset: number, bytes: 1 | 2 | 4 | 8, value: bigint | number];

export interface Answer {
  readonly cc: HostCallAnswer;
  readonly rc: number;
  readonly rrc: number;
  readonly block: DataView;
}

/** A page of an image on its way in. */
export interface ImagePage {
  readonly address: number;
  readonly tweak: bigint;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Image {
  readonly header: Uint8Array;
  readonly pages: readonly ImagePage[];
}

/** What UVC.SET_PARAMETERS and UVC.UNPACK want of an image. */
export function imageOf(bytes: Uint8Array): Image {
  const { headerBytes, components } = readSeImage(bytes);
  const pages = components.flatMap(({ address, tweakPrefix, stored }) =>
    Array.from({ length: stored.length / PAGE }, (_, n) => ({
      address: Number(address) + n * PAGE,
      tweak: tweakPrefix,
      offset: n * PAGE,
      bytes: stored.subarray(n * PAGE, (n + 1) * PAGE),
    })),
  );
  return { header: headerBytes, pages };
}

export const IMAGE = imageOf(s390SecureImage('hello').bytes);
const DUMPABLE = imageOf(s390SecureImage('hello', '', 0x2000_0000n).bytes);

/**
 * An Ultravisor, and a host that does as it is told. Its home space is absolute storage; while `tables` is not empty every access through it needs these pages to be the
 * host's, as tables of DAT have to be.
 */
export class UvHost {
  readonly uv: UvContext;
  readonly memory: RealMemory;
  /** Host storage, with the host's rights. */
  readonly view: HostView;
  tables: readonly number[] = [];
  operating = 1;
  tod = 0n;
  /** By ASCE: guest absolute pages (MSO added) to absolute ones. */
  readonly maps = new Map<bigint, Map<number, number>>();
  /** Handles of configurations and CPUs, in the order in which they were made. */
  readonly configs: bigint[] = [];
  readonly cpus: bigint[] = [];

  constructor() {
    const regions = [
      { name: 'ram', base: 0 as RealAddress, size: RAM, secure: false },
      { name: 'high', base: HIGH as RealAddress, size: HIGH_SIZE, secure: false },
    ];
    const store = makeStore(regions, 65536);
    this.memory = new RealMemory(store, regions);
    const crypto = defaultProvider();
    this.uv = {
      memory: this.memory,
      view: new HostView(this.memory, { agent: 'ultravisor', secure: true }, null, () => 0n),
      hardware: {
        flushTranslations: () => {},
        operatingCpus: () => this.operating,
        prefixes: () => [0],
        tod: () => this.tod,
        translate: (asce, address) => {
          const page = Number(address) - (Number(address) % PAGE);
          const found = this.maps.get(asce)?.get(page);
          return found === undefined ? { code: 0x11 } : { absolute: (found + (Number(address) % PAGE)) as RealAddress };
        },
      },
      crypto,
      se: new SeHost(crypto, readP521PrivateKey(DEVELOPMENT_HOST_KEY)),
      random: new RandomSource(crypto, 'test').stream('ultravisor'),
      trace: null,
      clock: () => 0n,
      facilities: facilityList(CPU_FACILITIES),
      state: { initialized: false, created: 0, configs: new Map(), cpus: new Map(), pages: new Map() },
    };
    this.memory.guard = (address, length) => this.#isOpen(address, length);
    this.view = new HostView(this.memory, { agent: 'hypervisor', secure: false }, null, () => 0n);
  }

  /** Issues a command whose control block has these fields, and is as long as it has to be unless `length` says otherwise. */
  call(name: UvcName | number, fields: readonly UvcField[] = [], length?: number, at: number = AT.block): Answer {
    const command = typeof name === 'number' ? name : UVC[name].number;
    const bytes = length ?? (typeof name === 'number' ? 0x40 : name === 'QUERY' ? 0x120 : UVC[name].length);
    const block = new DataView(new ArrayBuffer(Math.max(8, bytes)));
    for (const [offset, size, value] of fields) {
      if (size === 8) block.setBigUint64(offset, BigInt(value));
      else if (size === 4) block.setUint32(offset, Number(value));
      else if (size === 2) block.setUint16(offset, Number(value));
      else block.setUint8(offset, Number(value));
    }
    block.setUint16(UVCB.LENGTH, bytes);
    block.setUint16(UVCB.COMMAND, command);
    this.view.write(at as RealAddress, new Uint8Array(block.buffer));
    return this.issue(at);
  }

  /** Issues the command whose control block lies in storage. */
  issue(at: number = AT.block): Answer {
    const cc = hostCall(this.uv, this.#hostCall(BigInt(at)));
    const length = new DataView(this.view.read(at as RealAddress, 2).buffer).getUint16(0);
    const bytes = this.view.read(at as RealAddress, Math.max(8, length));
    const block = new DataView(bytes.buffer);
    return { cc, rc: block.getUint16(UVCB.RC), rrc: block.getUint16(UVCB.RRC), block };
  }

  init(): this {
    this.expect('INIT', [
      [UVCB.INIT.ORIGIN, 8, HIGH],
      [UVCB.INIT.LENGTH, 8, 0x10_0000],
    ]);
    return this;
  }

  /** A command that has to succeed. */
  expect(name: UvcName, fields: readonly UvcField[]): Answer {
    const answer = this.call(name, fields);
    if (answer.cc !== 0) throw new Error(`${name}: rc 0x${answer.rc.toString(16)}`);
    return answer;
  }

  /** Fields of CREATE_CONFIG for the first configuration, or the second. */
  configFields(second = false): UvcField[] {
    const F = UVCB.CREATE_CONFIG;
    const more = second ? SECOND : 0;
    return [
      [F.BASE, 8, AT.base + more],
      [F.VARIABLE, 8, AT.variable + more],
      [F.GUEST_ORIGIN, 8, second ? MIB : 0],
      [F.GUEST_LENGTH, 8, GUEST_SIZE],
      [F.SCA, 8, AT.sca + more],
      [F.ASCE, 8, second ? ASCE.second : ASCE.first],
    ];
  }

  cpuFields(config: bigint, number: number, second = false): UvcField[] {
    const F = UVCB.CREATE_CPU;
    const at = (second ? SECOND : 0) + number * PAGE;
    return [
      [F.CONFIG, 8, config],
      [F.STORAGE, 8, AT.cpu + at],
      [F.NUMBER, 2, number],
      [F.STATE, 8, AT.description + at],
    ];
  }

  /** A configuration with CPUs, its storage mapped. */
  createConfig({ second = false, cpus = 2 } = {}): bigint {
    const asce = second ? ASCE.second : ASCE.first;
    const map = new Map<number, number>();
    const [origin, at] = second ? [MIB, AT.otherGuest] : [0, AT.guest];
    for (let page = 0; page < GUEST_SIZE; page += PAGE) map.set(origin + page, at + page);
    this.maps.set(asce, map);
    const config = this.expect('CREATE_CONFIG', this.configFields(second)).block.getBigUint64(UVCB.HANDLE);
    this.configs.push(config);
    for (let number = 0; number < cpus; number++) {
      this.#setCpuAddress(number, second);
      const fields = this.cpuFields(config, number, second);
      this.cpus.push(this.expect('CREATE_CPU', fields).block.getBigUint64(UVCB.CREATE_CPU.HANDLE));
    }
    return config;
  }

  setParameters(config: bigint, header: Uint8Array = IMAGE.header): Answer {
    this.view.write(AT.header as RealAddress, header);
    const F = UVCB.SET_PARAMETERS;
    return this.call('SET_PARAMETERS', [
      [F.CONFIG, 8, config],
      [F.HEADER, 8, AT.header],
      [F.LENGTH, 4, header.length],
    ]);
  }

  /** Puts a page of an image where the guest's storage is, and has it unpacked. */
  unpack(config: bigint, { address, tweak, offset, bytes }: ImagePage, at: number = AT.guest): Answer {
    this.view.write((at + address) as RealAddress, bytes);
    const F = UVCB.UNPACK;
    return this.call('UNPACK', [
      [F.CONFIG, 8, config],
      [F.ADDRESS, 8, address],
      [F.TWEAK, 8, tweak],
      [F.TWEAK + 8, 8, offset],
    ]);
  }

  /** A configuration that is unpacked and verified. */
  createVerified(options: { readonly second?: boolean; readonly cpus?: number; readonly image?: Image } = {}): bigint {
    const config = this.createConfig(options);
    const { header, pages } = options.image ?? IMAGE;
    if (this.setParameters(config, header).cc !== 0) throw new Error('the header is refused');
    const at = options.second === true ? AT.otherGuest : AT.guest;
    for (const page of pages) if (this.unpack(config, page, at).cc !== 0) throw new Error('a page is refused');
    this.expect('VERIFY', [[UVCB.HANDLE, 8, config]]);
    return config;
  }

  import(config: bigint, page: number): Answer {
    return this.call('CONVERT_TO', [
      [UVCB.CTS.CONFIG, 8, config],
      [UVCB.CTS.ADDRESS, 8, page],
    ]);
  }

  onPage(name: 'CONVERT_FROM' | 'DESTROY_STORAGE' | 'PIN', at: number): Answer {
    return this.call(name, [[UVCB.CFS.ADDRESS, 8, at]]);
  }

  unpin(config: bigint, page: number): Answer {
    return this.call('UNPIN', [
      [UVCB.CTS.CONFIG, 8, config],
      [UVCB.CTS.ADDRESS, 8, page],
    ]);
  }

  /** An image that may be dumped (PCF bit 34). */
  get dumpable(): Image {
    return DUMPABLE;
  }

  dump(name: 'DUMP_CPU' | 'DUMP_STORAGE_STATE' | 'DUMP_COMPLETE', handle: bigint, address = 0): Answer {
    const F = UVCB.DUMP;
    const more: UvcField[] = name === 'DUMP_STORAGE_STATE' ? [[F.ADDRESS, 8, address]] : [];
    return this.call(name, [[F.HANDLE, 8, handle], [F.AREA, 8, AT.area], ...more]);
  }

  createAnotherCpu(config: bigint, number = 9): Answer {
    this.#setCpuAddress(number, false);
    return this.call('CREATE_CPU', this.cpuFields(config, number));
  }

  /** Writes what commands leave in the host's own storage before they are refused: nothing of it is theirs. */
  settle(): void {
    this.#setCpuAddress(9, false);
    this.view.write(AT.header as RealAddress, IMAGE.header);
  }

  setState(cpu: bigint, state: number): Answer {
    return this.call('CPU_SET_STATE', [
      [UVCB.CPU_SET_STATE.CPU, 8, cpu],
      [UVCB.CPU_SET_STATE.STATE, 1, state],
    ]);
  }

  /** What the Ultravisor has in a page, whoever may see it. */
  contents(at: number): Uint8Array {
    return this.uv.view.read(at as RealAddress, PAGE);
  }

  isHosts(at: number): boolean {
    return checkAccess(this.uv, at, null) === 0;
  }

  /** All books and all storage but the page of the control block, for comparison. */
  snapshot(): string {
    const { state } = this.uv;
    const digest = createHash('sha1');
    for (const { base, size } of this.memory.regions) {
      const bytes = this.uv.view.peek(base, size);
      if (base !== 0) digest.update(bytes);
      else digest.update(bytes.subarray(0, AT.block)).update(bytes.subarray(AT.block + PAGE));
    }
    const books = JSON.stringify(state, (key, value: unknown) => {
      if (key === 'config') return (value as { handle: bigint }).handle.toString();
      // Running digests cannot be looked into; `pages` counts what went into them.
      if (key === 'lists') return undefined;
      if (value instanceof Map)
        return [...value].filter(([k]) => !(state.initialized && isBase(k))).map(([k, v]) => [String(k), v]);
      if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
      return typeof value === 'bigint' ? value.toString() : value;
    });
    return `${digest.digest('hex')} ${books}`;
  }

  /** A state description is of the CPU whose address it has. */
  #setCpuAddress(number: number, second: boolean): void {
    const description = AT.description + (second ? SECOND : 0) + number * PAGE;
    this.view.write((description + SD.CPU_ADDRESS) as RealAddress, Uint8Array.of(number >> 8, number & 0xff));
  }

  #isOpen(address: number, length: number): boolean {
    for (let page = address - (address % PAGE); page < address + length; page += PAGE) {
      if (!this.isHosts(page)) return false;
    }
    return true;
  }

  #hostCall(controlBlock: bigint): HostCall {
    const reaches = (kind: AddressKind, address: bigint, length: number): boolean =>
      (kind !== 'home' || this.tables.every((table) => this.isHosts(table))) &&
      this.memory.find(Number(address) as RealAddress, length) !== undefined &&
      this.#isOpen(Number(address), length);
    return {
      r1: 0n,
      controlBlock,
      cpu: 0,
      gr: () => 0n,
      setGr: () => {},
      cr: () => 0n,
      setCr: () => {},
      pswMask: 0n,
      pswAddress: 0n,
      setPsw: () => {},
      setCc: () => {},
      prefix: 0,
      setPrefix: () => {},
      cpuTimer: () => 0n,
      clockComparator: () => 0n,
      read: (kind, address, length) =>
        reaches(kind, address, length) ? this.view.read(Number(address) as RealAddress, length) : null,
      write: (kind, address, bytes) => {
        if (!reaches(kind, address, bytes.length)) return false;
        this.view.write(Number(address) as RealAddress, bytes);
        return true;
      },
      reaches,
      translate: (kind, address) =>
        kind === 'home' && !this.tables.every((table) => this.isHosts(table))
          ? { code: 0x11 }
          : { absolute: Number(address) as RealAddress },
    };
  }
}
