import { LOWCORE, PGM } from '../abi.ts';
import type { ServiceAnswer, ServiceCall, ServiceHandler } from '../cpu/port.ts';
import type { ChannelStore, ChannelSubsystem } from './channel-subsystem.ts';
import { chsc, chscLength } from './chsc.ts';
import { IRB_BYTES, ORB_BYTES, SCHIB_BYTES, viewOf } from './css-format.ts';
import type { FloatingQueue } from './floating-queue.ts';

const SPECIFICATION = { program: PGM.SPECIFICATION } as const;
const OPERAND = { program: PGM.OPERAND } as const;
const CHSC_BYTES = 4096;
/** Bits 32 to 39 of CR6: the subclasses. */
const SUBCLASS_SHIFT = 24n;

/**
 * The channel instructions of a CPU: they fetch the subchannel's word and the operand, in the order of the architecture's checks as QEMU 7.2 has it
 * (target/s390x/ioinst.c), and store what is answered.
 */
export function channelInstructions(css: ChannelSubsystem, queue: FloatingQueue): ReadonlyMap<string, ServiceHandler> {
  return new Map<string, ServiceHandler>([
    ['csch', (call) => css.clear(idOf(call))],
    ['hsch', (call) => css.halt(idOf(call))],
    ['rsch', (call) => css.resume(idOf(call))],
    ['xsch', (call) => css.cancel(idOf(call))],
    ['rchp', (call) => css.resetPath(idOf(call))],
    ['msch', (call) => withOperand(call, SCHIB_BYTES, (bytes) => css.modify(idOf(call), bytes))],
    ['ssch', (call) => withOperand(call, ORB_BYTES, (bytes) => css.start(idOf(call), bytes))],
    ['stsch', (call) => store(call, SCHIB_BYTES, css.store(idOf(call)))],
    [
      'tsch',
      (call) => {
        const answer = store(call, IRB_BYTES, css.test(idOf(call)));
        if (answer === 0) css.tested(idOf(call));
        return answer;
      },
    ],
    ['tpi', (call) => testPending(call, queue)],
    [
      'stcrw',
      (call) => {
        const { cc, word } = css.report();
        const bytes = new Uint8Array(4);
        viewOf(bytes).setUint32(0, word);
        const answer = store(call, 4, { cc, bytes });
        if (answer === 0) css.reported();
        return answer;
      },
    ],
    ['chsc', callSubsystem],
  ]);
}

/** The subsystem-identification word, in general register 1. */
function idOf(call: ServiceCall): number {
  return Number(BigInt.asUintN(32, call.gr(1)));
}

function withOperand(call: ServiceCall, bytes: number, act: (operand: Uint8Array) => ServiceAnswer): ServiceAnswer {
  if ((call.address & 3n) !== 0n) return SPECIFICATION;
  const operand = call.read('operand', call.address, bytes);
  return operand === null ? 'fault' : act(operand);
}

/** Access exceptions come before operand exceptions and condition code 3. */
function store(call: ServiceCall, bytes: number, answer: ChannelStore): ServiceAnswer {
  if ((call.address & 3n) !== 0n) return SPECIFICATION;
  if (!call.reaches('operand', call.address, bytes, 'store')) return 'fault';
  if ('program' in answer) return answer;
  if (answer.cc !== 3 && !call.write('operand', call.address, answer.bytes)) return 'fault';
  return answer.cc;
}

/** TPI: the interruption code goes to the operand, or with address 0 to where the interruption would store it. */
function testPending(call: ServiceCall, queue: FloatingQueue): ServiceAnswer {
  if ((call.address & 3n) !== 0n) return SPECIFICATION;
  const subclasses = Number((call.cr(6) >> SUBCLASS_SHIFT) & 0xffn);
  const pending = queue.peekIo(subclasses);
  if (pending === undefined) return 0;
  const code = new Uint8Array(12);
  const view = viewOf(code);
  view.setUint16(0, pending.subchannelId);
  view.setUint16(2, pending.subchannel);
  view.setUint32(4, pending.parameter);
  view.setUint32(8, pending.word);
  const stored =
    call.address === 0n
      ? call.write('real', BigInt(LOWCORE.SUBCHANNEL_ID), code)
      : call.write('operand', call.address, code.subarray(0, 8));
  if (!stored) return 'fault';
  queue.takeIo(subclasses);
  return 1;
}

/** CHSC: request and answer share a page that R1 names. */
function callSubsystem(call: ServiceCall): ServiceAnswer {
  const address = call.gr(call.r1);
  if ((address & BigInt(CHSC_BYTES - 1)) !== 0n) return SPECIFICATION;
  const start = call.read('operand', address, 4);
  if (start === null) return 'fault';
  const length = chscLength(start);
  if (length === undefined) return OPERAND;
  const request = call.read('operand', address, length);
  if (request === null || !call.write('operand', address + BigInt(length), chsc(request))) return 'fault';
  return 0;
}
