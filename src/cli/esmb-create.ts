import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { defaultProvider } from '../crypto/default.ts';
import { rsaKeyHolder } from '../crypto/key-holder.ts';
import type { RsaPublicKey } from '../crypto/rsa.ts';
import { readRsaPublicKey, rsaBits } from '../crypto/rsa-key.ts';
import { writeEsmArchive } from '../image/esm-archive.ts';
import { type EsmFileSource, type EsmKeyHolder, makeEsmBlob } from '../image/esm-blob.ts';
import { writeEsmBlob } from '../image/esm-blob-writer.ts';
import { ESM_FILE_LIMIT, isEsmFileName } from '../image/esm-format.ts';
import { digestsOf } from '../image/esm-image.ts';
import { initrdProper, naming } from './esmb-files.ts';
import { UsageError } from './exit-status.ts';
import { readImage, requireDistinct } from './files.ts';
import { type KeyFile, readKeyFile, readMachineKey } from './key-files.ts';
import { writeNewFile } from './new-file.ts';
import { say } from './say.ts';

/** The options of `cloister image esmb create` as they were typed. */
export interface CreateOptions {
  readonly kernel: string;
  readonly initrd?: string;
  readonly cmdline: string;
  readonly rtas?: string;
  readonly origin?: string;
  readonly recipient: readonly string[];
  readonly file: readonly string[];
  readonly comment: string;
  readonly out?: string;
  readonly outInitrd?: string;
  readonly force?: boolean;
}

/** What the firmware's lockboxes are made with. */
const LOCKBOX_BITS = 2048;

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));

/** Makes a blob. Everything is read and checked before anything is written. @throws UsageError, ImageError */
export function createEsmb(options: CreateOptions): void {
  const { cmdline, comment, out, outInitrd, force = false } = options;
  if (out === undefined && outInitrd === undefined)
    throw new UsageError('--out or --out-initrd: one of them is needed');
  if (options.recipient.length === 0) throw new UsageError('--recipient: at least one machine is needed');
  if (cmdline.includes('\0')) throw new UsageError('--cmdline: it has a NUL within');
  const crypto = defaultProvider();
  const holder = ({ file, bytes, key }: KeyFile<RsaPublicKey>, what: string): EsmKeyHolder => {
    if (rsaBits(key) !== LOCKBOX_BITS) {
      throw new UsageError(`${what} ${file}: RSA with ${rsaBits(key)} bits: lockboxes are made for ${LOCKBOX_BITS}`);
    }
    return rsaKeyHolder(crypto, key, bytes, comment, random);
  };
  const origin = options.origin === undefined ? throwawayKey() : readKeyFile(options.origin, readRsaPublicKey);
  const recipients = options.recipient.map((file) => holder(readMachineKey(file), '--recipient'));
  const initrd = initrdProper(options.initrd);
  const image = {
    kernel: readImage(options.kernel),
    initrd,
    bootargs: cmdline,
    ...(options.rtas !== undefined && { rtas: readImage(options.rtas).bytes }),
  };
  const digests = digestsOf(image, crypto);
  const source = {
    origin: holder(origin, '--origin'),
    recipients,
    digests,
    digestsComment: comment,
    files: readFiles(options.file),
  };
  const blob = naming('--comment', () => writeEsmBlob(makeEsmBlob(source, crypto, random)));
  const inputs = [options.kernel, options.initrd, options.rtas].filter((file) => file !== undefined);
  if (out !== undefined) requireDistinct('--out', out, inputs);
  if (outInitrd !== undefined)
    requireDistinct('--out-initrd', outInitrd, out === undefined ? inputs : [...inputs, out]);
  if (out !== undefined) writeNewFile(out, blob, { force });
  if (outInitrd !== undefined) writeNewFile(outInitrd, join(writeEsmArchive(blob), initrd), { force });
  const files = source.files.length === 0 ? '' : `, ${source.files.length} files`;
  say(
    `${blob.length} bytes: ${digests.kernelSize} bytes of kernel, ${initrd.length} of initrd, ${recipients.length} machines${files}`,
  );
}

function throwawayKey(): KeyFile<RsaPublicKey> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: LOCKBOX_BITS });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { file: 'made for this blob', bytes: new TextEncoder().encode(pem), key: readRsaPublicKey(pem) };
}

/** `name=path`, or a path whose last part is the name. */
function readFiles(given: readonly string[]): EsmFileSource[] {
  const files = given.map((text) => {
    const equals = text.indexOf('=');
    const [name, path] = equals < 0 ? [basename(text), text] : [text.slice(0, equals), text.slice(equals + 1)];
    if (!isEsmFileName(name)) {
      throw new UsageError(`--file: "${name}" is no name: a letter, then up to 30 letters, digits, and any of ,._+-`);
    }
    const { bytes } = readImage(path);
    if (bytes.length > ESM_FILE_LIMIT) throw new UsageError(`--file: ${path}: more than ${ESM_FILE_LIMIT} bytes`);
    return { name, comment: '', contents: bytes };
  });
  const twice = files.find(({ name }, i) => files.findIndex((other) => other.name === name) < i);
  if (twice !== undefined) throw new UsageError(`--file: two files with the name ${twice.name}`);
  return files;
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}
