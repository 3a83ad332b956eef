import { openEsmPart } from '../../image/esm-blob.ts';
import { SPR, U_CODE, ULTRACALL } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { traceCallReturn } from './call-trace.ts';
import type { Outcome, UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import { continueGuest } from './guest-entry.ts';
import type { Svm } from './svm.ts';

const { U_PARAMETER } = U_CODE;

/** Registers with the name and with the data, and the bytes in each. */
const NAME = { first: 5, count: 8 };
const DATA = { first: 4, count: 8 };
const REGISTER_BYTES = 8;
const CHUNK_BYTES = DATA.count * REGISTER_BYTES;

/**
 * UV_ESMB_GET_FILE: R4 offset, R5 to R12 the name of a file of the blob that the SVM was started from (3.17). R3 becomes
 * the number of bytes, 0 at the end, and R4 to R11 the bytes, the first in the top byte of R4.
 *
 * A file can be read once, in ascending order, by the process that began to (PIDR): so that the pass phrase is gone for
 * whoever comes later. The kernel may call, and user programs.
 */
export function uvEsmbGetFile(
  uv: UvContext,
  port: RegisterPort,
  { nia, msr }: Interrupted,
  svm: Svm | undefined,
): Outcome {
  if (svm === undefined || svm.files === null) return U_PARAMETER;
  const { sealed, key, readers } = svm.files;
  const offset = port.gpr(4);
  const name = fileName(port);
  const file = sealed.get(name);
  if (file === undefined) return U_PARAMETER;
  const pid = port.spr(SPR.PIDR);
  const reader = readers.get(name);
  if (reader !== undefined && (reader.pid !== pid || offset < BigInt(reader.next))) return U_PARAMETER;
  const contents = openEsmPart(file, key, uv.crypto);
  if (contents === null) return U_PARAMETER;

  const start = offset < BigInt(contents.length) ? Number(offset) : contents.length;
  const chunk = contents.subarray(start, start + CHUNK_BYTES);
  readers.set(name, { pid, next: start + chunk.length });
  const data = new Uint8Array(CHUNK_BYTES);
  data.set(chunk);
  const view = new DataView(data.buffer);
  for (let n = 0; n < DATA.count; n++) port.setGpr(DATA.first + n, view.getBigUint64(n * REGISTER_BYTES));
  port.setGpr(3, BigInt(chunk.length));
  contents.fill(0);
  traceCallReturn(uv, port, 'ultracall', ULTRACALL.UV_ESMB_GET_FILE, BigInt(chunk.length));
  return continueGuest(uv, port, svm, nia, msr);
}

/** Up to its first NUL. */
function fileName(port: RegisterPort): string {
  const bytes = new Uint8Array(NAME.count * REGISTER_BYTES);
  const view = new DataView(bytes.buffer);
  for (let n = 0; n < NAME.count; n++) view.setBigUint64(n * REGISTER_BYTES, port.gpr(NAME.first + n));
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}
