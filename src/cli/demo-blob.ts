import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { defaultProvider } from '../crypto/default.ts';
import { rsaKeyHolder } from '../crypto/key-holder.ts';
import type { RsaPrivateKey } from '../crypto/rsa.ts';
import { readRsaPrivateKey, writeRsaPublicKey } from '../crypto/rsa-key.ts';
import { writeEsmArchive } from '../image/esm-archive.ts';
import { makeEsmBlob } from '../image/esm-blob.ts';
import { readEsmBlob } from '../image/esm-blob-reader.ts';
import { writeEsmBlob } from '../image/esm-blob-writer.ts';
import type { EsmDigests } from '../image/esm-format.ts';
import { digestsOf } from '../image/esm-image.ts';
import type { ImageFile } from '../image/image-file.ts';

/** What the demo's tenant has before a VM of his starts. */
export interface DemoTenant {
  /** Private key of the machine; the tenant himself sees the public half only. */
  readonly machineKey: RsaPrivateKey;
  readonly fingerprint: Uint8Array;
  readonly digests: EsmDigests;
  /** A bare blob, for the device tree of a hypervisor's guest. */
  readonly blob: ImageFile;
  /** The blob before an initrd that holds nothing else. */
  readonly initrd: ImageFile;
}

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));

/** Does what `cloister keys rsa` and `cloister image esmb create --kernel` do: a key for a machine, and a blob for that key. */
export function demoTenant(kernel: ImageFile): DemoTenant {
  const crypto = defaultProvider();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const machineKey = readRsaPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const pem = new TextEncoder().encode(writeRsaPublicKey(machineKey));
  const digests = digestsOf({ kernel, initrd: new Uint8Array(0), bootargs: '' }, crypto);
  const holder = rsaKeyHolder(crypto, machineKey, pem, 'demo', random);
  const source = { origin: holder, recipients: [holder], digests, digestsComment: '', files: [] };
  const blob = writeEsmBlob(makeEsmBlob(source, crypto, random));
  return {
    machineKey,
    fingerprint: holder.fingerprint,
    digests,
    blob: { file: 'blob', bytes: blob },
    initrd: { file: 'initrd', bytes: writeEsmArchive(blob) },
  };
}

/** What a hypervisor makes of the blob that it is to load: one byte of the encrypted digests is another. */
export function withChangedBlob(tenant: DemoTenant): DemoTenant {
  const blob = readEsmBlob(tenant.blob.bytes);
  const ciphertext = blob.digests.ciphertext.slice();
  ciphertext[0] ^= 1;
  const changed = writeEsmBlob({ ...blob, digests: { ...blob.digests, ciphertext } });
  return {
    ...tenant,
    blob: { file: 'blob', bytes: changed },
    initrd: { file: 'initrd', bytes: writeEsmArchive(changed) },
  };
}
