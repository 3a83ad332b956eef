import { hex } from '../image/hex.ts';
import type { SeSecrets } from '../image/se/header.ts';
import type { SeImage } from '../image/se/image-reader.ts';
import { print } from './console-output.ts';
import { UsageError } from './exit-status.ts';
import { hasKey, hexOf, openSeFile, readSeFile, type SeKeyOptions } from './se-files.ts';
import { flagNames } from './se-flags.ts';

/** The options of `cloister image se inspect` as they were typed. */
export interface SeInspectOptions extends SeKeyOptions {
  readonly json?: boolean;
  readonly showSecrets?: boolean;
}

/** Shows what is in an image. @throws UsageError */
export function inspectSe(file: string, { json = false, showSecrets = false, ...keys }: SeInspectOptions): void {
  if (showSecrets && !hasKey(keys)) throw new UsageError('--show-secrets: it needs --host-key or --hdr-key');
  const image = readSeFile(file);
  const secrets = hasKey(keys) ? openSeFile(file, image, keys) : null;
  const description = describe(image, secrets, showSecrets);
  print(json ? `${JSON.stringify(description, null, 2)}\n` : asText(description));
}

/** What is told of an image. Fields are added in later versions, never renamed. */
interface Description {
  readonly header: {
    readonly address: string;
    readonly bytes: number;
    readonly pages: number;
    readonly plaintextFlags: string;
    readonly plaintextFlagNames: readonly string[];
    /** SHA-256 of the public host keys. */
    readonly hostKeyHashes: readonly string[];
    readonly customerKey: string;
    readonly pageListDigest: string;
    readonly addressListDigest: string;
    readonly tweakListDigest: string;
    readonly tag: string;
  };
  readonly ipib: string;
  readonly components: readonly {
    readonly kind: string;
    readonly address: string;
    readonly bytes: number;
    readonly tweakPrefix: string;
  }[];
  /** Only with a key. */
  readonly secrets?: {
    readonly pswMask: string;
    readonly pswAddress: string;
    readonly secretFlags: string;
    readonly secretFlagNames: readonly string[];
    readonly optionalItems: number;
    /** Only if asked for. */
    readonly communicationKey?: string;
    readonly componentKey?: string;
  };
}

function describe(
  { header, headerAt, headerBytes, ipibAt, components }: SeImage,
  secrets: SeSecrets | null,
  show: boolean,
): Description {
  return {
    header: {
      address: hex(headerAt),
      bytes: headerBytes.length,
      pages: Number(header.pages),
      plaintextFlags: hex(header.plaintextFlags),
      plaintextFlagNames: flagNames(header.plaintextFlags, false),
      hostKeyHashes: header.keySlots.map(({ hostKeyHash }) => hexOf(hostKeyHash)),
      customerKey: hexOf(header.customerKey),
      pageListDigest: hexOf(header.pageListDigest),
      addressListDigest: hexOf(header.addressListDigest),
      tweakListDigest: hexOf(header.tweakListDigest),
      tag: hexOf(header.tag),
    },
    ipib: hex(ipibAt),
    components: components.map(({ kind, address, stored, tweakPrefix }) => ({
      kind: kind ?? 'unknown',
      address: hex(address),
      bytes: stored.length,
      tweakPrefix: hex(tweakPrefix),
    })),
    ...(secrets !== null && {
      secrets: {
        pswMask: hex(secrets.pswMask),
        pswAddress: hex(secrets.pswAddress),
        secretFlags: hex(secrets.secretFlags),
        secretFlagNames: flagNames(secrets.secretFlags, true),
        optionalItems: secrets.optionalItems,
        ...(show && {
          communicationKey: hexOf(secrets.communicationKey),
          componentKey: hexOf(secrets.componentKey),
        }),
      },
    }),
  };
}

function asText({ header, ipib, components, secrets }: Description): string {
  const names = (list: readonly string[]): string => (list.length === 0 ? 'none' : list.join(', '));
  const lines = [
    `Secure Execution image, header at ${header.address} (${header.bytes} bytes), IPIB at ${ipib}`,
    'for the machines with these host keys (SHA-256):',
    ...header.hostKeyHashes.map((hash) => `  ${hash}`),
    `plaintext flags: ${header.plaintextFlags} (${names(header.plaintextFlagNames)})`,
    `components: ${header.pages} pages`,
    ...components.map(
      ({ kind, address, bytes, tweakPrefix }) =>
        `  ${kind.padEnd(8)} ${address.padEnd(10)} ${`${bytes}`.padStart(10)} bytes, tweak ${tweakPrefix}`,
    ),
    ...(['pageListDigest', 'addressListDigest', 'tweakListDigest', 'tag'] as const).map(
      (name) => `${name}: ${header[name]}`,
    ),
    ...(secrets === undefined
      ? ['nothing of this is verified, and the rest is encrypted (--host-key or --hdr-key opens it)']
      : [
          'the header is authentic; it starts the guest with',
          `  PSW             ${secrets.pswMask} ${secrets.pswAddress}`,
          `  secret flags    ${secrets.secretFlags} (${names(secrets.secretFlagNames)})`,
          ...(['communicationKey', 'componentKey'] as const)
            .filter((name) => secrets[name] !== undefined)
            .map((name) => `  ${name.padEnd(15)} ${secrets[name]}`),
        ]),
  ];
  return `${lines.join('\n')}\n`;
}
