import { viewOf } from './css-format.ts';

/** What CHSC is asked (s390 Linux, drivers/s390/cio/chsc.c; QEMU 7.2, target/s390x/ioinst.c). */
const COMMAND = { CHANNEL_PATH: 0x0002, EVENT: 0x000e, CHARACTERISTICS: 0x0010, DOMAIN: 0x0031 } as const;
const RESPONSE = {
  DONE: 1,
  INVALID: 3,
  UNKNOWN: 4,
  NO_EVENT: 5,
  FORMAT: 7,
  NO_SUCH_CSS: 8,
  NOT_PROVIDED: 0x101,
} as const;

const REQUEST = { LENGTH: 0, COMMAND: 2, PARAMETERS: 4, BYTES: 16 } as const;
const MOST_BYTES = 4088;
const ANSWER_HEADER = 8;
const FORMAT = 0x0f000000;

/** The one channel path: number and type of virtio's. */
const PATH = { number: 0, type: 0x32 } as const;
const PATH_VALID = 0x80000000;

/** STORE CHANNEL-SUBSYSTEM CHARACTERISTICS: words of the general and of the CHSC characteristics that are not 0. No further images of channel subsystems. */
const CHARACTERISTICS = {
  BYTES: 4080,
  GENERAL: [0x03000000, 0x00039000, 0, 0x00080000],
  CHSC_AT: 2040,
  CHSC: [0x40000000, 0, 0, 0x00040000],
};
/** SET DOMAIN ATTRIBUTES: further subchannel sets may be asked for, and are empty. */
const DOMAIN_BYTES = 0x400;
const SUBCHANNEL_SETS = 2;

/** What is answered: a code and what stands behind the header. */
interface Answer {
  readonly code: number;
  readonly parameter?: number;
  readonly data?: Uint8Array;
}

/** The length of a request, from its first bytes; undefined where it can be none: an operand exception. */
export function chscLength(start: Uint8Array): number | undefined {
  const length = viewOf(start).getUint16(REQUEST.LENGTH);
  return length < REQUEST.BYTES || length > MOST_BYTES || length % 8 !== 0 ? undefined : length;
}

/**
 * Answers CHANNEL SUBSYSTEM CALL.
 * @param request as long as it says
 * @returns what is stored behind it
 */
export function chsc(request: Uint8Array): Uint8Array {
  const { code, parameter = 0, data = new Uint8Array(0) } = answer(viewOf(request));
  const bytes = new Uint8Array(ANSWER_HEADER + data.length);
  const view = viewOf(bytes);
  view.setUint16(0, bytes.length);
  view.setUint16(2, code);
  view.setUint32(4, parameter);
  bytes.set(data, ANSWER_HEADER);
  return bytes.subarray(0, MOST_BYTES + ANSWER_HEADER - request.length);
}

function answer(request: DataView): Answer {
  switch (request.getUint16(REQUEST.COMMAND)) {
    case COMMAND.CHANNEL_PATH:
      return channelPath(request);
    case COMMAND.EVENT:
      return { code: RESPONSE.NO_EVENT };
    case COMMAND.CHARACTERISTICS:
      return characteristics(request);
    case COMMAND.DOMAIN:
      return domain(request);
    default:
      return { code: RESPONSE.UNKNOWN };
  }
}

function channelPath(request: DataView): Answer {
  const parameter = request.getUint32(REQUEST.PARAMETERS);
  const last = request.getUint32(REQUEST.PARAMETERS + 4);
  const asked = (parameter >> 8) & 0x0f;
  const long = asked <= 1 ? (parameter & 0x10000000) !== 0 : asked === 1;
  const rest = request.getUint32(REQUEST.PARAMETERS + 8);
  const answered = { parameter: Number(long) };
  if (
    request.byteLength !== REQUEST.BYTES ||
    (parameter & 0xc000f000) !== 0 ||
    (last & 0xffffff00) !== 0 ||
    rest !== 0
  ) {
    return { code: RESPONSE.INVALID, ...answered };
  }
  if ((parameter & FORMAT) !== 0) return { code: RESPONSE.FORMAT, ...answered };
  if ((parameter & 0x00ff0000) !== 0) return { code: RESPONSE.NO_SUCH_CSS, ...answered };
  if (last < (parameter & 0xff)) return { code: RESPONSE.INVALID, ...answered };
  const there = (parameter & 0xff) <= PATH.number && PATH.number <= last;
  const data = new Uint8Array(there ? (long ? 32 : 8) : 0);
  if (there) viewOf(data).setUint32(0, (PATH_VALID | (PATH.type << 8) | PATH.number) >>> 0);
  return { code: RESPONSE.DONE, ...answered, data };
}

function characteristics(request: DataView): Answer {
  const parameter = request.getUint32(REQUEST.PARAMETERS);
  if (request.byteLength !== REQUEST.BYTES) return { code: RESPONSE.INVALID };
  if ((parameter & 0x000f0000) !== 0) return { code: RESPONSE.FORMAT };
  if ((parameter & 0x0000ff00) !== 0) return { code: RESPONSE.NO_SUCH_CSS };
  const rest = request.getBigUint64(REQUEST.PARAMETERS + 4);
  if ((parameter & 0xdff000ff) !== 0 || rest !== 0n) return { code: RESPONSE.INVALID };
  const data = new Uint8Array(CHARACTERISTICS.BYTES - ANSWER_HEADER);
  const view = viewOf(data);
  for (const [i, word] of CHARACTERISTICS.GENERAL.entries()) view.setUint32(4 * i, word);
  for (const [i, word] of CHARACTERISTICS.CHSC.entries()) view.setUint32(CHARACTERISTICS.CHSC_AT + 4 * i, word);
  return { code: RESPONSE.DONE, data };
}

function domain(request: DataView): Answer {
  const parameter = request.getUint32(REQUEST.PARAMETERS);
  if (request.byteLength !== DOMAIN_BYTES || (parameter & 0xf0ff0000) !== 0) return { code: RESPONSE.INVALID };
  if ((parameter & FORMAT) !== 0) return { code: RESPONSE.FORMAT };
  return { code: (parameter & 0xffff) === SUBCHANNEL_SETS ? RESPONSE.DONE : RESPONSE.NOT_PROVIDED };
}
