import { H_CODE, RTAS_MAX_ARGS, RTAS_STATUS, RTAS_TOKEN } from '../abi.ts';
import type { GuestMemory } from '../kvm/guest-memory.ts';
import type { HypercallResult, UserHypercall } from '../kvm/user-space.ts';
import { endVm, requestReset, startCpuMsr, startVcpu } from '../kvm/vm.ts';
import { LEAST_FAVOURED, route } from '../kvm/xics.ts';
import { TIMEBASE_FREQUENCY } from './layout.ts';
import type { Phb } from './phb.ts';
import type { Vty } from './vty.ts';

const { SUCCESS, HARDWARE, PARAMETER } = RTAS_STATUS;
/** event-scan and check-exception: no event. */
const NO_ERRORS_FOUND = 1;
const NOT_SUPPORTED = -3;
const NOT_AUTHORIZED = -9002;
const SYSPARM_PARAMETER = -9999;

/** query-cpu-stopped-state: the CPU is stopped, or is not. */
const STOPPED = 0;
const NOT_STOPPED = 2;

/** Words before the arguments: token, number of arguments, number of results. */
const HEADER_WORDS = 3;
/** Linux's early debug code takes this for the token of display-character without having looked it up. */
const DISPLAY_CHARACTER_GUESS = 0xa;
/** Real addresses may come with their top four bits set. */
const REAL_ADDRESS = (1n << 60n) - 1n;
const OS_TERM_TEXT = 256;

/** What the date is when the time base is 0: 2020-01-01, so that a run depends on nothing outside. */
const EPOCH = Date.UTC(2020, 0, 1);

const SPLPAR_CHARACTERISTICS = 20;
const DIAGNOSTICS_RUN_MODE = 42;
const UUID = 48;

/** What RTAS works with. */
export interface RtasContext {
  readonly memory: GuestMemory;
  readonly vty: Vty;
  /** Bytes of guest memory. */
  readonly memorySize: number;
  /** The PCI host bridge, if there is one. */
  readonly phb: Phb | null;
  /** A PCI register was read or written: interrupt lines may have changed. */
  readonly pciAccessed: () => void;
  /** Milliseconds that set-time-of-day moved the clock. */
  clockOffset: number;
}

interface RtasRequest {
  readonly context: RtasContext;
  readonly call: UserHypercall;
  readonly args: readonly number[];
  readonly nret: number;
}

/** A status, and further results after it. */
type RtasAnswer = number | readonly number[];

interface RtasCall {
  /** Numbers of arguments and results that the call insists on; undefined: any. */
  readonly nargs?: number;
  readonly nret?: number;
  readonly run: (request: RtasRequest) => RtasAnswer;
}

const CALLS = {
  'display-character': {
    run: ({ context, call, args }) => {
      context.vty.output(call, Uint8Array.of(args[0] ?? 0));
      return SUCCESS;
    },
  },
  'get-time-of-day': { nret: 8, run: timeOfDay },
  'set-time-of-day': { nargs: 7, nret: 1, run: setTimeOfDay },
  'power-off': {
    nargs: 2,
    nret: 1,
    run: ({ call }) => {
      endVm(call.vm, { kind: 'poweroff', detail: 'RTAS power-off' });
      return SUCCESS;
    },
  },
  'system-reboot': {
    nargs: 0,
    nret: 1,
    run: ({ call }) => {
      requestReset(call.vm);
      return SUCCESS;
    },
  },
  'query-cpu-stopped-state': {
    nargs: 1,
    nret: 2,
    run: ({ call, args: [id] }) => {
      const vcpu = call.vm.vcpus[id];
      if (vcpu === undefined) return PARAMETER;
      return [SUCCESS, vcpu.state === 'stopped' ? STOPPED : NOT_STOPPED];
    },
  },
  'start-cpu': {
    nargs: 3,
    nret: 1,
    run: ({ call, args: [id, start, r3] }) => {
      const vcpu = call.vm.vcpus[id];
      if (vcpu === undefined) return PARAMETER;
      if (vcpu.state !== 'stopped') return HARDWARE;
      startVcpu(vcpu, { pc: BigInt(start), msr: startCpuMsr(call.vm), gpr: { 3: BigInt(r3) } }, call.timebase);
      return SUCCESS;
    },
  },
  'stop-self': { run: stopSelf },
  'ibm,get-system-parameter': { run: getSystemParameter },
  'ibm,set-system-parameter': {
    run: ({ args: [parameter] }) =>
      [SPLPAR_CHARACTERISTICS, DIAGNOSTICS_RUN_MODE, UUID].includes(parameter) ? NOT_AUTHORIZED : NOT_SUPPORTED,
  },
  'ibm,set-xive': { nargs: 3, nret: 1, run: setXive },
  'ibm,get-xive': { nargs: 1, nret: 3, run: getXive },
  'ibm,int-off': { nargs: 1, nret: 1, run: interruptOff },
  'ibm,int-on': { nargs: 1, nret: 1, run: interruptOn },
  'check-exception': {
    nret: 1,
    run: ({ args }) => (args.length === 6 || args.length === 7 ? NO_ERRORS_FOUND : PARAMETER),
  },
  'event-scan': { nargs: 4, nret: 1, run: () => NO_ERRORS_FOUND },
  'ibm,read-pci-config': { nargs: 4, nret: 2, run: readPciConfig },
  'ibm,write-pci-config': { nargs: 5, nret: 1, run: writePciConfig },
  'ibm,os-term': { run: osTerm },
} as const satisfies Partial<Record<keyof typeof RTAS_TOKEN, RtasCall>>;

/** The calls that RTAS serves, as /rtas names them. */
export const RTAS_CALLS = Object.keys(CALLS) as readonly (keyof typeof CALLS)[];

const BY_TOKEN: ReadonlyMap<number, RtasCall> = new Map(RTAS_CALLS.map((name) => [RTAS_TOKEN[name], CALLS[name]]));

/**
 * H_RTAS: R4 is the address of token, nargs, nret, arguments and room for results, all big-endian words (power-pef.md 6.7, 9.5). The block
 * is read once; its results are written once.
 */
export function hRtas(context: RtasContext, call: UserHypercall): HypercallResult {
  const { memory } = context;
  const { vm } = call;
  const block = call.args[0] & REAL_ADDRESS;
  const [token, nargs, nret] = toWords(memory.read(vm, block, 4 * HEADER_WORDS));
  if (nargs + nret > RTAS_MAX_ARGS) return { status: H_CODE.H_PARAMETER };
  const args = toWords(memory.read(vm, block + BigInt(4 * HEADER_WORDS), 4 * nargs));
  const results = block + BigInt(4 * (HEADER_WORDS + nargs));
  memory.probe(vm, results, 4 * nret);

  const rtasCall = token === DISPLAY_CHARACTER_GUESS ? CALLS['display-character'] : BY_TOKEN.get(token);
  let answer: RtasAnswer = PARAMETER;
  if (rtasCall !== undefined && fits(rtasCall, nargs, nret)) answer = rtasCall.run({ context, call, args, nret });
  const given = typeof answer === 'number' ? [answer] : answer;
  memory.write(vm, results, words(given.slice(0, nret)));
  return { status: rtasCall === undefined ? H_CODE.H_PARAMETER : H_CODE.H_SUCCESS };
}

function fits({ nargs, nret }: RtasCall, haveArgs: number, haveRets: number): boolean {
  return (nargs === undefined || nargs === haveArgs) && (nret === undefined || nret === haveRets);
}

/** Year, month, day, hour, minute, second and nanoseconds, after the status. */
function timeOfDay({ context, call }: RtasRequest): readonly number[] {
  const milliseconds = Number((call.timebase * 1000n) / BigInt(TIMEBASE_FREQUENCY));
  const date = new Date(EPOCH + context.clockOffset + milliseconds);
  return [
    SUCCESS,
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
    date.getUTCMilliseconds() * 1_000_000,
  ];
}

function setTimeOfDay({ context, call, args }: RtasRequest): number {
  const [year, month, day, hour, minute, second] = args;
  const wanted = Date.UTC(year, month - 1, day, hour, minute, second);
  if (!Number.isFinite(wanted)) return PARAMETER;
  const milliseconds = Number((call.timebase * 1000n) / BigInt(TIMEBASE_FREQUENCY));
  context.clockOffset = wanted - EPOCH - milliseconds;
  return SUCCESS;
}

/** Interrupt number, server and priority (PAPR; QEMU's rtas_set_xive). */
function setXive({ call: { vm }, args: [number, server, priority] }: RtasRequest): number {
  if (!vm.xics.sources.has(number) || vm.vcpus[server] === undefined || priority > LEAST_FAVOURED) return PARAMETER;
  route(vm.xics, number, { server, priority, savedPriority: priority });
  return SUCCESS;
}

function getXive({ call: { vm }, args: [number] }: RtasRequest): RtasAnswer {
  const source = vm.xics.sources.get(number);
  return source === undefined ? PARAMETER : [SUCCESS, source.server, source.priority];
}

/** Masks a source; ibm,int-on brings its priority back. */
function interruptOff({ call: { vm }, args: [number] }: RtasRequest): number {
  const source = vm.xics.sources.get(number);
  if (source === undefined) return PARAMETER;
  const { server, priority } = source;
  route(vm.xics, number, { server, priority: LEAST_FAVOURED, savedPriority: priority });
  return SUCCESS;
}

function interruptOn({ call: { vm }, args: [number] }: RtasRequest): number {
  const source = vm.xics.sources.get(number);
  if (source === undefined) return PARAMETER;
  const { server, savedPriority } = source;
  route(vm.xics, number, { server, priority: savedPriority, savedPriority });
  return SUCCESS;
}

/** Address, unit id in two words, size; gives the value. What is not there is a hardware error (QEMU's rtas_ibm_read_pci_config). */
function readPciConfig({ context, args: [address, high, low, size] }: RtasRequest): RtasAnswer {
  const value = context.phb?.configRead([high, low], address, size);
  context.pciAccessed();
  return value === undefined ? HARDWARE : [SUCCESS, value];
}

/** Address, unit id in two words, size, value. */
function writePciConfig({ context, args: [address, high, low, size, value] }: RtasRequest): number {
  const done = context.phb?.configWrite([high, low], address, size, value) ?? false;
  context.pciAccessed();
  return done ? SUCCESS : HARDWARE;
}

/** The calling vCPU stops; it goes on only by start-cpu. */
function stopSelf({ call: { vm, vcpu } }: RtasRequest): number {
  vcpu.state = 'stopped';
  if (vm.vcpus.every(({ state }) => state === 'stopped')) {
    endVm(vm, { kind: 'stopped', detail: 'all CPUs stopped' });
  }
  return SUCCESS;
}

/** The guest gives up. Called by the Ultravisor without a text, it is the Ultravisor that does (power-pef.md 6.8). */
function osTerm({ context, call, args: [text = 0] }: RtasRequest): number {
  if (call.secure && text === 0) {
    endVm(call.vm, { kind: 'terminated', detail: 'the Ultravisor stopped the VM' });
    return SUCCESS;
  }
  const message = text === 0 ? undefined : context.memory.readString(call.vm, text, OS_TERM_TEXT);
  endVm(call.vm, { kind: 'crashed', detail: message ?? 'ibm,os-term without a text' });
  return SUCCESS;
}

/** Writes a length of 16 bits and the value into the guest's buffer. */
function getSystemParameter({ context, call, args: [parameter, buffer, length] }: RtasRequest): number {
  const value = systemParameter(context, call.vm.vcpus.length, parameter);
  if (value === undefined) return NOT_SUPPORTED;
  if (length < 2) return SYSPARM_PARAMETER;
  const out = new Uint8Array(2 + Math.min(length - 2, value.length));
  out[0] = value.length >> 8;
  out[1] = value.length & 0xff;
  out.set(value.subarray(0, out.length - 2), 2);
  context.memory.write(call.vm, buffer, out);
  return SUCCESS;
}

function systemParameter({ memorySize }: RtasContext, cpus: number, parameter: number): Uint8Array | undefined {
  switch (parameter) {
    case SPLPAR_CHARACTERISTICS: {
      const memory = Math.floor(memorySize / 2 ** 20);
      return new TextEncoder().encode(`MaxEntCap=${cpus},DesMem=${memory},DesProcs=${cpus},MaxPlatProcs=${cpus}\0`);
    }
    case DIAGNOSTICS_RUN_MODE:
      return Uint8Array.of(0);
    case UUID:
      return new Uint8Array(0);
    default:
      return undefined;
  }
}

function words(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setInt32(4 * i, value);
  return bytes;
}

function toWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i));
}
