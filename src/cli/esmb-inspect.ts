import { defaultProvider } from '../crypto/default.ts';
import { readRsaPrivateKey } from '../crypto/rsa-key.ts';
import { openEsmDigests, openEsmPart } from '../image/esm-blob.ts';
import type { EsmDigests, EsmLockbox } from '../image/esm-format.ts';
import { print } from './console-output.ts';
import { naming, readEsmb, unlock } from './esmb-files.ts';
import { UsageError } from './exit-status.ts';
import { readKeyFile } from './key-files.ts';

/** The options of `cloister image esmb inspect` as they were typed. */
export interface InspectOptions {
  readonly key?: string;
  readonly show?: string;
  readonly json?: boolean;
}

/** What is told of a blob. Fields are added in later versions, never renamed. */
interface Description {
  readonly lockboxes: readonly { readonly name: string; readonly fingerprint: string; readonly comment: string }[];
  /** Bytes before the initrd proper; null for a bare blob. */
  readonly initrdBytes: number | null;
  /** Only with a key. */
  readonly digests?: Readonly<Record<keyof EsmDigests, string | number>>;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly comment: string }[];
}

/** Shows what is in a blob. @throws UsageError */
export function inspectEsmb(file: string, { key: keyFile, show, json = false }: InspectOptions): void {
  const crypto = defaultProvider();
  const esmb = readEsmb(file);
  const { blob } = esmb;
  const key = keyFile === undefined ? null : unlock(esmb, readKeyFile(keyFile, readRsaPrivateKey).key, keyFile);
  if (show !== undefined) {
    if (key === null) throw new UsageError('--show: it needs --key');
    const sealed = blob.files.get(show);
    if (sealed === undefined) throw new UsageError(`${file}: no file with the name ${show}`);
    const contents = openEsmPart(sealed, key, crypto);
    if (contents === null) throw new UsageError(`${file}: ${show}: its tag does not verify: it was changed`);
    print(contents);
    return;
  }
  const digests = key === null ? null : naming(file, () => openEsmDigests(blob, key, crypto));
  const description: Description = {
    lockboxes: [blob.origin, ...blob.lockboxes].map(describeLockbox),
    initrdBytes: esmb.initrd?.length ?? null,
    ...(digests !== null && { digests: describeDigests(digests) }),
    files: [...blob.files].map(([name, { ciphertext, comment }]) => ({ name, bytes: ciphertext.length, comment })),
  };
  print(json ? `${JSON.stringify(description, null, 2)}\n` : asText(description));
}

function describeLockbox({ name, fingerprint, comment }: EsmLockbox): Description['lockboxes'][number] {
  return { name, fingerprint: hexOf(fingerprint), comment };
}

function describeDigests({ rtas, kernel, kernelSize, initrd, bootargs }: EsmDigests): Description['digests'] {
  return {
    rtas: hexOf(rtas),
    kernel: hexOf(kernel),
    kernelSize,
    initrd: hexOf(initrd),
    bootargs: hexOf(bootargs),
  };
}

function asText({ lockboxes, initrdBytes, digests, files }: Description): string {
  const remark = (comment: string): string => (comment === '' ? '' : `  (${JSON.stringify(comment)})`);
  const lines = [
    initrdBytes === null ? 'ESM blob' : `ESM blob before an initrd of ${initrdBytes} bytes`,
    'for the holders of these keys (SHA-256 of the public key file):',
    ...lockboxes.map(({ name, fingerprint, comment }) => `  ${name.padEnd(15)} ${fingerprint}${remark(comment)}`),
    ...(digests === undefined
      ? ['digests: encrypted (--key shows them)']
      : ['digests (SHA-512):', ...Object.entries(digests).map(([name, value]) => `  ${name.padEnd(15)} ${value}`)]),
    files.length === 0 ? 'files: none' : 'files:',
    ...files.map(({ name, bytes, comment }) => `  ${name.padEnd(15)} ${bytes} bytes${remark(comment)}`),
  ];
  return `${lines.join('\n')}\n`;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
