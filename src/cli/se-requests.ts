import { randomBytes } from 'node:crypto';
import { defaultProvider } from '../crypto/default.ts';
import { hkdf, hkdfSha512 } from '../crypto/hkdf.ts';
import { randomP521Key } from '../image/se/image-writer.ts';
import {
  makeAddSecretRequest,
  makeAttestationRequest,
  plainSecretBytes,
  SE_ADD_SECRET_DISABLE_DUMP,
  SE_ATTESTATION_FLAGS,
  SE_PLAIN_SECRET_LIMIT,
  SE_SECRET_TYPES,
  type SeRequestKeys,
  type SeSecret,
} from '../image/se/request.ts';
import { UsageError } from './exit-status.ts';
import { readImage } from './files.ts';
import { writeNewFile } from './new-file.ts';
import { say } from './say.ts';
import { naming, readSecret, readSeFile } from './se-files.ts';
import { type HostKeyOptions, hostKeysOf } from './se-host-keys.ts';
import { parseChoice } from './values.ts';

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));
/** What the extension secret is derived for (s390-pv.md 6.12). */
const EXTENSION_INFO = new TextEncoder().encode('IBM Z Ultravisor Add-Secret');

/** The options of `cloister image se attest` as they were typed. */
export interface AttestOptions extends HostKeyOptions {
  readonly output: string;
  readonly protectionKey: string;
  readonly addData: readonly string[];
  readonly overwrite?: boolean;
}

/** Additional data that one may ask for, with the names of `pvattest`. */
export const ADDITIONAL_DATA = {
  'phkh-img': SE_ATTESTATION_FLAGS.IMAGE_HOST_KEY_HASH,
  'phkh-att': SE_ATTESTATION_FLAGS.ATTESTATION_HOST_KEY_HASH,
  'secret-store-hash': SE_ATTESTATION_FLAGS.SECRET_STORE_HASH,
  'firmware-state': SE_ATTESTATION_FLAGS.FIRMWARE_STATE,
} as const;

/** Makes an attestation request, and writes the key that opens it. @throws UsageError */
export function attestSe(options: AttestOptions): void {
  const { output, protectionKey, overwrite = false } = options;
  const keys = requestKeys(options);
  const names = Object.keys(ADDITIONAL_DATA) as (keyof typeof ADDITIONAL_DATA)[];
  const asked = options.addData.map((name) => ADDITIONAL_DATA[parseChoice('--add-data', name, names)]);
  const flags = asked.reduce((sum, { mask }) => sum | mask, SE_ATTESTATION_FLAGS.NONCE.mask);
  const request = naming(output, () =>
    makeAttestationRequest({ ...keys, flags, measurementKey: random(64), nonce: random(16) }, defaultProvider()),
  );
  writeNewFile(output, request, { force: overwrite });
  writeNewFile(protectionKey, keys.requestKey, { force: overwrite, mode: 0o600 });
  say(`${output}: an attestation request of ${request.length} bytes; ${protectionKey} is the key that opens it`);
}

/** The options of `cloister image se add-secret` as they were typed. */
export interface AddSecretOptions extends HostKeyOptions {
  readonly image: string;
  readonly output: string;
  readonly type: string;
  readonly name?: string;
  readonly secret?: string;
  readonly extensionSecret?: string;
  readonly cck?: string;
  readonly cuid?: string;
  readonly userData?: string;
  readonly disableDump?: boolean;
  readonly overwrite?: boolean;
}

/** Types of secrets that are made here, and what each needs. */
export const SECRET_TYPES = ['meta', 'association', 'plain', 'update-cck'] as const;

/** Makes an add-secret request for the guests of an image. @throws UsageError */
export function addSecretSe(options: AddSecretOptions): void {
  const { output, overwrite = false, extensionSecret, cck, cuid, userData } = options;
  const { header } = readSeFile(options.image);
  const keys = requestKeys(options);
  if (extensionSecret !== undefined && cck !== undefined) {
    throw new UsageError('--extension-secret and --cck: one of them');
  }
  const crypto = defaultProvider();
  const derived = (key: Uint8Array): Uint8Array => hkdf(hkdfSha512(crypto), key, header.tag, EXTENSION_INFO, 32);
  const request = naming(output, () =>
    makeAddSecretRequest(
      {
        ...keys,
        flags: options.disableDump === true ? SE_ADD_SECRET_DISABLE_DUMP : 0n,
        image: header,
        configurationId: cuid === undefined ? null : readSecret(cuid, 16),
        userData: userData === undefined ? null : readImage(userData).bytes,
        secret: secretOf(options),
        extensionSecret:
          extensionSecret !== undefined
            ? readSecret(extensionSecret, 32)
            : cck === undefined
              ? null
              : derived(readSecret(cck, 32)),
      },
      crypto,
    ),
  );
  writeNewFile(output, request, { force: overwrite });
  say(`${output}: an add-secret request of ${request.length} bytes`);
}

function secretOf({ type: typed, name, secret }: AddSecretOptions): SeSecret {
  const type = parseChoice('--type', typed, SECRET_TYPES);
  if (type === 'meta') {
    if (secret !== undefined) throw new UsageError('--secret: --type meta has none');
    return { type: SE_SECRET_TYPES.NULL };
  }
  if (secret === undefined) throw new UsageError(`--secret: --type ${type} needs it`);
  if (type === 'update-cck') return { type: SE_SECRET_TYPES.CCK_UPDATE, bytes: readSecret(secret, 32) };
  if (name === undefined) throw new UsageError(`--name: --type ${type} needs it`);
  const id = defaultProvider().sha256(new TextEncoder().encode(name));
  if (type === 'association') return { type: SE_SECRET_TYPES.ASSOCIATION, id, bytes: readSecret(secret, 32) };
  const { bytes } = readImage(secret);
  if (bytes.length > SE_PLAIN_SECRET_LIMIT) {
    throw new UsageError(`${secret}: ${bytes.length} bytes, more than ${SE_PLAIN_SECRET_LIMIT}`);
  }
  return { type: SE_SECRET_TYPES.PLAIN, id, bytes: plainSecretBytes(bytes) };
}

function requestKeys(options: HostKeyOptions): SeRequestKeys {
  return {
    hostKeys: hostKeysOf(options),
    customerPrivateKey: randomP521Key(defaultProvider(), random),
    requestKey: random(32),
    iv: random(12),
  };
}
