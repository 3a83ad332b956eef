import { asCells, type FdtNode, u32Value } from '../../image/fdt.ts';
import { RTAS_TEXT } from '../../image/rtas-text.ts';
import type { TraceSink } from '../../trace/events.ts';
import { H_CODE } from '../abi.ts';
import { GuestFault, type GuestMemory } from '../kvm/guest-memory.ts';
import type { HypercallResult, UserHypercall } from '../kvm/user-space.ts';
import { endVm } from '../kvm/vm.ts';
import { negotiate } from './cas.ts';
import { rangeValue } from './device-tree.ts';
import { type GuestRange, TIMEBASE_FREQUENCY } from './layout.ts';
import { ClaimedMemory } from './of-claim.ts';
import { OfTree } from './of-tree.ts';

/** What the client interface answers where it cannot do what it was asked for. */
const PROM_ERROR = 0xffffffff;

/** Limits of QEMU's implementation, in bytes. */
const MAX_SERVICE = 64;
const MAX_PROPERTY_NAME = 65;
const MAX_PATH = 256;
const MAX_METHOD = 256;
const MAX_SETPROP = 2048;

/** Words of a call: service, number of arguments, number of results; then both. */
const HEADER_WORDS = 3;
const MAX_WORDS = 10;
const REAL_ADDRESS = (1n << 60n) - 1n;
const TRACED_OUTPUT = 256;
const TICKS_PER_MILLISECOND = BigInt(TIMEBASE_FREQUENCY / 1000);

/** What a rebuilt device tree keeps of the client's changes. */
export interface TreeChanges {
  readonly bootargs: string | null;
  readonly initrd: GuestRange | null;
  /** What ibm,client-architecture-support agreed on; null before it. */
  readonly architectureVec5: Uint8Array | null;
}

/** What the client interface works with. */
export interface OpenFirmwareOptions {
  readonly memory: GuestMemory;
  /** Bytes of guest memory below 4 GiB. */
  readonly top: number;
  /** Ranges that are taken when the client starts. */
  readonly claimed: readonly GuestRange[];
  readonly buildTree: (changes: TreeChanges) => FdtNode;
  readonly initrd: GuestRange | null;
  readonly trace: TraceSink | null;
}

/** A result, or several. */
type Service = (call: UserHypercall, args: readonly number[]) => number | readonly number[];

interface ServiceEntry {
  /** Numbers of arguments and results that the service insists on; undefined: any. */
  readonly nargs?: number;
  readonly nret?: number;
  readonly run: Service;
}

/**
 * The Open Firmware client interface (IEEE 1275) as QEMU's Virtual Open Firmware has it: the guest walks the device tree, claims memory,
 * instantiates RTAS and negotiates its architecture. Its text output goes nowhere, as on QEMU; the trace has it.
 */
export class OpenFirmware {
  readonly #options: OpenFirmwareOptions;
  readonly #claimed: ClaimedMemory;
  readonly #instances = new Map<number, { readonly path: string; readonly phandle: number }>();
  #lastInstance = 0;
  #changes: TreeChanges;
  #tree: OfTree;

  constructor(options: OpenFirmwareOptions) {
    this.#options = options;
    this.#claimed = new ClaimedMemory(options.top);
    for (const { base, size } of options.claimed) this.#claimed.claim(base, size, 0);
    this.#changes = { bootargs: null, initrd: options.initrd, architectureVec5: null };
    this.#tree = this.#rebuild();
  }

  /** H_VOF_CLIENT: R4 is the address of service, nargs, nret, arguments and results, all big-endian words. */
  call(call: UserHypercall): HypercallResult {
    const { memory } = this.#options;
    const { vm } = call;
    const block = call.args[0] & REAL_ADDRESS;
    const words = toWords(memory.read(vm, block, 4 * (HEADER_WORDS + MAX_WORDS)));
    const [service, nargs, nret] = words;
    if (nargs >= MAX_WORDS || nret > MAX_WORDS - nargs) return { status: H_CODE.H_PARAMETER };
    const name = memory.readString(vm, service, MAX_SERVICE);
    if (name === undefined) return { status: H_CODE.H_PARAMETER };
    const args = words.slice(HEADER_WORDS, HEADER_WORDS + nargs);

    const answer = this.#serve(call, name, args, nret);
    const given = typeof answer === 'number' ? [answer] : answer;
    const results = Array.from({ length: nret }, (_, i) => given[i] ?? 0);
    memory.write(vm, block + BigInt(4 * (HEADER_WORDS + nargs)), fromWords(results));
    return { status: H_CODE.H_SUCCESS };
  }

  #serve(call: UserHypercall, name: string, args: readonly number[], nret: number): number | readonly number[] {
    const entry = this.#services.get(name);
    if (entry === undefined) return PROM_ERROR;
    if (entry.nargs !== undefined && entry.nargs !== args.length) return PROM_ERROR;
    if (entry.nret !== undefined && entry.nret !== nret) return PROM_ERROR;
    try {
      return entry.run(call, args);
    } catch (error) {
      if (error instanceof GuestFault && error.reason === 'unmapped') return PROM_ERROR;
      throw error;
    }
  }

  /** IEEE 1275 chapter 6.3.2, as far as QEMU has it. */
  readonly #services: ReadonlyMap<string, ServiceEntry> = new Map(
    Object.entries<ServiceEntry>({
      finddevice: {
        nargs: 1,
        nret: 1,
        run: (call, [path]) => {
          const text = this.#string(call, path, MAX_PATH);
          return this.#tree.phandle(text === undefined ? undefined : this.#tree.find(text)) || PROM_ERROR;
        },
      },
      peer: {
        nargs: 1,
        nret: 1,
        run: (_call, [phandle]) =>
          this.#tree.phandle(phandle === 0 ? this.#tree.root : this.#tree.peer(this.#tree.node(phandle))),
      },
      child: {
        nargs: 1,
        nret: 1,
        run: (_call, [phandle]) => this.#tree.phandle(this.#tree.node(phandle)?.children[0]),
      },
      parent: {
        nargs: 1,
        nret: 1,
        run: (_call, [phandle]) => this.#tree.phandle(this.#tree.parent(this.#tree.node(phandle))),
      },
      getprop: {
        nargs: 4,
        nret: 1,
        run: (call, [phandle, name, buffer, length]) => {
          const value = this.#property(call, phandle, name);
          if (value === undefined) return PROM_ERROR;
          this.#options.memory.write(call.vm, buffer, value.subarray(0, length));
          return value.length;
        },
      },
      getproplen: {
        nargs: 2,
        nret: 1,
        run: (call, [phandle, name]) => this.#property(call, phandle, name)?.length ?? PROM_ERROR,
      },
      nextprop: { nargs: 3, nret: 1, run: (call, args) => this.#nextprop(call, args) },
      setprop: { nargs: 4, nret: 1, run: (call, args) => this.#setprop(call, args) },
      'package-to-path': {
        nargs: 3,
        nret: 1,
        run: (call, [phandle, buffer]) => this.#writePath(call, this.#tree.node(phandle), buffer),
      },
      'instance-to-path': {
        nargs: 3,
        nret: 1,
        run: (call, [ihandle, buffer]) =>
          this.#writePath(call, this.#tree.node(this.#instances.get(ihandle)?.phandle ?? 0), buffer),
      },
      'instance-to-package': {
        nargs: 1,
        nret: 1,
        run: (_call, [ihandle]) => this.#instances.get(ihandle)?.phandle ?? PROM_ERROR,
      },
      open: {
        nargs: 1,
        nret: 1,
        run: (call, [path]) => {
          const text = this.#string(call, path, MAX_PATH);
          return text === undefined ? PROM_ERROR : this.#open(this.#tree, text);
        },
      },
      close: {
        nargs: 1,
        run: (_call, [ihandle]) => {
          this.#instances.delete(ihandle);
          return 0;
        },
      },
      write: { nargs: 3, nret: 1, run: (call, args) => this.#write(call, args) },
      claim: {
        nargs: 3,
        nret: 1,
        run: (_call, [address, size, align]) => {
          const base = this.#claimed.claim(address, size, align);
          this.#tellAvailable(this.#tree);
          return base ?? PROM_ERROR;
        },
      },
      release: {
        nargs: 2,
        run: (_call, [base, size]) => {
          const released = this.#claimed.release(base, size);
          this.#tellAvailable(this.#tree);
          return released ? 0 : PROM_ERROR;
        },
      },
      'call-method': { run: (call, args) => this.#callMethod(call, args) },
      interpret: { run: () => PROM_ERROR },
      milliseconds: {
        nargs: 0,
        nret: 1,
        run: ({ timebase }) => Number(BigInt.asUintN(32, timebase / TICKS_PER_MILLISECOND)),
      },
      quiesce: { run: () => 0 },
      exit: {
        run: ({ vm }) => {
          endVm(vm, { kind: 'stopped', detail: 'Open Firmware exit' });
          return 0;
        },
      },
    }),
  );

  #string({ vm }: UserHypercall, address: number, limit: number): string | undefined {
    return this.#options.memory.readString(vm, address, limit);
  }

  /** A property; `name` is made of the node's name where there is none. */
  #property(call: UserHypercall, phandle: number, nameAddress: number): Uint8Array | undefined {
    const node = this.#tree.node(phandle);
    const name = node === undefined ? undefined : this.#string(call, nameAddress, MAX_PROPERTY_NAME);
    if (node === undefined || name === undefined) return undefined;
    const value = node.properties.get(name);
    if (value !== undefined || name !== 'name') return value;
    return latin1(`${node.name.replace(/@.*/, '')}\0`);
  }

  /** Writes the name of the property after the one named, of the first after an empty name. */
  #nextprop(call: UserHypercall, [phandle, previous, buffer]: readonly number[]): number {
    const name = this.#string(call, previous, MAX_PROPERTY_NAME);
    if (name === undefined) return PROM_ERROR;
    const names = [...(this.#tree.node(phandle)?.properties.keys() ?? [])];
    const at = name === '' ? 0 : names.indexOf(name) + 1;
    if (at === 0 && name !== '') return 0;
    const next = names[at];
    if (next === undefined) return 0;
    this.#options.memory.write(call.vm, buffer, latin1(`${next}\0`));
    return 1;
  }

  #setprop(call: UserHypercall, [phandle, nameAddress, buffer, length]: readonly number[]): number {
    const node = this.#tree.node(phandle);
    const name = this.#string(call, nameAddress, MAX_PROPERTY_NAME);
    if (length > MAX_SETPROP || name === undefined || node === undefined) return PROM_ERROR;
    const value = this.#options.memory.read(call.vm, buffer, length);
    if (node === this.#tree.find('/chosen') && !this.#keepChange(name, value)) return PROM_ERROR;
    node.properties.set(name, value);
    return length;
  }

  /** Takes note of a property of /chosen that must survive a new tree. @returns false if the value makes no sense */
  #keepChange(name: string, value: Uint8Array): boolean {
    if (name === 'bootargs') {
      const end = value.indexOf(0);
      const bootargs = String.fromCharCode(...value.subarray(0, end < 0 ? value.length : end));
      this.#changes = { ...this.#changes, bootargs };
    } else if (name === 'linux,initrd-start' || name === 'linux,initrd-end') {
      if (value.length !== 4 && value.length !== 8) return false;
      const address = asCells(value).reduce((high, low) => high * 2 ** 32 + low, 0);
      const { base, size } = this.#changes.initrd ?? { base: 0, size: 0 };
      const initrd = name === 'linux,initrd-start' ? { base: address, size } : { base, size: address - base };
      this.#changes = { ...this.#changes, initrd };
    }
    return true;
  }

  #writePath(call: UserHypercall, node: FdtNode | undefined, buffer: number): number {
    if (node === undefined) return PROM_ERROR;
    const path = latin1(`${this.#tree.path(node)}\0`);
    if (path.length > MAX_PATH) return PROM_ERROR;
    this.#options.memory.write(call.vm, buffer, path);
    return path.length;
  }

  #open(tree: OfTree, path: string): number {
    const node = tree.find(path);
    if (node === undefined) return PROM_ERROR;
    this.#lastInstance += 1;
    this.#instances.set(this.#lastInstance, { path, phandle: tree.phandle(node) });
    return this.#lastInstance;
  }

  /** QEMU has no back end for it and gives the number of bytes that are left: none. */
  #write({ vm, clock, cpu }: UserHypercall, [ihandle, buffer, length]: readonly number[]): number {
    if (!this.#instances.has(ihandle) || length > this.#options.top) return PROM_ERROR;
    this.#options.memory.probe(vm, buffer, length);
    const bytes = this.#options.memory.read(vm, buffer, Math.min(length, TRACED_OUTPUT));
    const text = `Open Firmware write: ${JSON.stringify(String.fromCharCode(...bytes))}`;
    this.#options.trace?.emit({ type: 'note', at: clock, cpu, text });
    return 0;
  }

  #callMethod(call: UserHypercall, args: readonly number[]): number | readonly number[] {
    const [methodAddress, ihandle, argument] = args;
    if (argument === undefined) return PROM_ERROR;
    const method = this.#string(call, methodAddress, MAX_METHOD);
    // Served by the part of the firmware that runs in the guest, which does not look at the instance.
    if (method === 'instantiate-rtas') {
      this.#options.memory.write(call.vm, argument, RTAS_TEXT);
      return [0, argument];
    }
    if (this.#instances.get(ihandle)?.path !== '/' || method !== 'ibm,client-architecture-support') return PROM_ERROR;
    const architectureVec5 = negotiate(this.#options.memory, call.vm, argument);
    this.#changes = { ...this.#changes, architectureVec5 };
    this.#tree = this.#rebuild();
    return [0, 0];
  }

  /** A tree with phandles, the available memory, and an open console. */
  #rebuild(): OfTree {
    const tree = new OfTree(this.#options.buildTree(this.#changes));
    this.#tellAvailable(tree);
    const stdout = this.#open(tree, '/vdevice/vty');
    tree.find('/chosen')?.properties.set('stdout', u32Value(stdout));
    return tree;
  }

  #tellAvailable(tree: OfTree): void {
    const ranges = this.#claimed.available().map(rangeValue);
    const value = new Uint8Array(16 * ranges.length);
    for (const [i, range] of ranges.entries()) value.set(range, 16 * i);
    tree.find('/memory@0')?.properties.set('available', value);
  }
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function toWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i));
}

function fromWords(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value);
  return bytes;
}
