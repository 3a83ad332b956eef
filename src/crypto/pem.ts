/** A file that holds no PEM block that can be used, and why. */
export class PemError extends Error {
  override readonly name = 'PemError';
}

/** One block of a PEM file (RFC 7468). */
export interface PemBlock {
  /** What its first line says, such as `PUBLIC KEY`. */
  readonly label: string;
  readonly bytes: Uint8Array;
}

const LINE = 64;
const BLOCK = /-----BEGIN ([^\r\n]*?)-----([\s\S]*?)-----END ([^\r\n]*?)-----/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** The first block of a PEM file. Text around it is ignored. @throws PemError */
export function readPem(text: string): PemBlock {
  const match = BLOCK.exec(text);
  if (match === null) throw noBlock();
  return blockOf(match);
}

/** All blocks of a PEM file, at least one. @throws PemError */
export function readPemBlocks(text: string): PemBlock[] {
  const blocks = [...text.matchAll(new RegExp(BLOCK, 'g'))].map(blockOf);
  if (blocks.length === 0) throw noBlock();
  return blocks;
}

function noBlock(): PemError {
  return new PemError('no -----BEGIN …----- and -----END …----- lines: it is no PEM file');
}

function blockOf(match: RegExpMatchArray): PemBlock {
  const [, label = '', body = '', end] = match;
  if (end !== label) throw new PemError(`the block begins as ${label} and ends as ${end}`);
  if (/^\s*Proc-Type:/.test(body)) throw new PemError(`the ${label} is encrypted with a pass phrase: decrypt it first`);
  const base64 = body.replace(/\s+/g, '');
  if (base64.length % 4 !== 0 || !BASE64.test(base64)) throw new PemError(`the ${label} is not base64`);
  return { label, bytes: Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)) };
}

/** A PEM file of one block, byte for byte as OpenSSL writes it: lines of 64 characters, each with a newline. */
export function writePem({ label, bytes }: PemBlock): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  const lines = btoa(binary).match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
