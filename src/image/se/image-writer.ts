import { type SeComponentPlace, SePageMeasure, sealComponent } from './components.ts';
import {
  ascii,
  join,
  pageUp,
  SE_IPIB,
  SE_IPIB_COMPONENT,
  SE_IPIB_IS,
  SE_KINDS,
  SE_MAGIC,
  SE_METADATA,
  SE_METADATA_VERSION,
  SE_PCF,
  SE_PLACE,
  SE_PSW_MASK,
  SE_SHORT_PSW,
  SE_STAGE3A_ARGUMENTS,
  SE_STAGE3B_ARGUMENTS,
  SeImageError,
  type SeKind,
} from './format.ts';
import { seHeaderBytes } from './header.ts';
import type { SePrimitives, SeRandom } from './primitives.ts';
import { sealSeHeader } from './seal.ts';

/** The boot loaders of an image, as they lie in memory. Their last bytes are arguments, which are written over. */
export interface SeLoaders {
  /** For `SE_PLACE.STAGE3A`. */
  readonly stage3a: Uint8Array;
  /** For anywhere: it moves itself. */
  readonly stage3b: Uint8Array;
}

/** Keys of an image. Whatever is left out is made at random. */
export interface SeImageKeys {
  /** CCK: 32 bytes. */
  readonly communicationKey?: Uint8Array;
  /** Header protection key: 32 bytes. */
  readonly headerKey?: Uint8Array;
  /** AES-256-XTS: 64 bytes, of two different halves. */
  readonly componentKey?: Uint8Array;
  /** P-521: 66 bytes. */
  readonly customerPrivateKey?: Uint8Array;
}

/** What an image is made from. */
export interface SeImageSource {
  /** A kernel as it lies in memory from 0 on; what is below `SE_PLACE.KERNEL` is not moved there. */
  readonly kernel: Uint8Array;
  readonly ramdisk?: Uint8Array;
  /** With its NUL. */
  readonly cmdline?: Uint8Array;
  readonly loaders: SeLoaders;
  /** Public keys of the machines that may run the image: X and Y on P-521, 66 bytes each. */
  readonly hostKeys: readonly Uint8Array[];
  readonly keys?: SeImageKeys;
  readonly plaintextFlags: bigint;
  readonly secretFlags: bigint;
  /** Where the kernel is entered; `SE_PLACE.KERNEL` by default. */
  readonly kernelEntry?: bigint;
  /** Where the guest starts, in place of stage3b. */
  readonly pswAddress?: bigint;
}

/** An image, and the keys that were made for it. */
export interface SeImageMade {
  readonly image: Uint8Array;
  readonly keys: Required<SeImageKeys>;
}

/**
 * Makes an image (s390-pv.md 6.1), byte for byte as `pvimg create` does with the same keys and random bytes.
 * @param random bytes for keys, nonce and tweaks
 * @throws SeImageError for what the format cannot hold
 */
export function makeSeImage(source: SeImageSource, crypto: SePrimitives, random: SeRandom): SeImageMade {
  const { loaders, hostKeys, plaintextFlags, secretFlags } = source;
  const keys = withKeys(source.keys ?? {}, crypto, random);
  const encrypted = (plaintextFlags & SE_PCF.NO_COMPONENT_ENCRYPTION) === 0n;
  const cipher = encrypted ? crypto.aesXts(keys.componentKey) : null;
  const measure = new SePageMeasure(crypto);
  const headerAt = Math.max(SE_PLACE.HEADER, pageUp(SE_PLACE.STAGE3A + loaders.stage3a.length));
  const parts: Part[] = [];
  let at = pageUp(headerAt + seHeaderBytes(hostKeys.length));
  const add = (kind: SeKind, contents: Uint8Array): Part => {
    const place = { address: BigInt(at), tweakPrefix: tweakPrefix(kind, random) };
    const part = { kind, place, size: contents.length, stored: sealComponent(contents, place, cipher, measure) };
    parts.push(part);
    at += part.stored.length;
    return part;
  };
  add('kernel', source.kernel);
  if (source.ramdisk !== undefined) add('ramdisk', source.ramdisk);
  if (source.cmdline !== undefined) add('cmdline', source.cmdline);
  const stage3b = add('stage3b', stage3bWith(loaders.stage3b, parts, source.kernelEntry));
  const header = sealSeHeader(
    {
      ...measure.finish(),
      plaintextFlags,
      secrets: {
        communicationKey: keys.communicationKey,
        componentKey: keys.componentKey,
        pswMask: SE_PSW_MASK,
        pswAddress: source.pswAddress ?? stage3b.place.address,
        secretFlags,
        optionalItems: 0,
        optionalBytes: new Uint8Array(0),
      },
      hostKeys,
      customerPrivateKey: keys.customerPrivateKey,
      headerKey: keys.headerKey,
      iv: random(12),
    },
    crypto,
  );
  const ipib = writeSeIpib({
    headerAddress: BigInt(headerAt),
    headerBytes: BigInt(header.length),
    components: parts.map(({ place, stored }) => ({ ...place, length: BigInt(stored.length) })),
  });
  const image = new Uint8Array(at + ipib.length);
  const shortPsw = new DataView(new ArrayBuffer(8));
  shortPsw.setBigUint64(0, SE_SHORT_PSW);
  image.set(new Uint8Array(shortPsw.buffer), SE_PLACE.SHORT_PSW);
  image.set(
    SE_METADATA.write({
      magic: ascii(SE_MAGIC.METADATA),
      headerOffset: BigInt(headerAt),
      version: SE_METADATA_VERSION,
      ipibOffset: BigInt(at),
    }),
    SE_PLACE.METADATA,
  );
  image.set(stage3aWith(loaders.stage3a, headerAt, header.length, at), SE_PLACE.STAGE3A);
  image.set(header, headerAt);
  for (const { place, stored } of parts) image.set(stored, Number(place.address));
  image.set(ipib, at);
  return { image, keys };
}

/** A component in its place. */
interface Part {
  readonly kind: SeKind;
  readonly place: SeComponentPlace;
  /** Without what fills its last page. */
  readonly size: number;
  readonly stored: Uint8Array;
}

const KEY_BYTES = { communicationKey: 32, headerKey: 32, componentKey: 64, customerPrivateKey: 66 } as const;

function withKeys(given: SeImageKeys, crypto: SePrimitives, random: SeRandom): Required<SeImageKeys> {
  for (const [name, bytes] of Object.entries(KEY_BYTES) as [keyof SeImageKeys, number][]) {
    const key = given[name];
    if (key !== undefined && key.length !== bytes) {
      throw new SeImageError(name, `${key.length} bytes instead of ${bytes}`);
    }
  }
  const componentKey = given.componentKey ?? random(KEY_BYTES.componentKey);
  const half = componentKey.length / 2;
  if (componentKey.subarray(0, half).every((byte, i) => byte === componentKey[half + i])) {
    throw new SeImageError('componentKey', 'its halves are equal: AES-XTS needs two keys');
  }
  return {
    communicationKey: given.communicationKey ?? random(KEY_BYTES.communicationKey),
    headerKey: given.headerKey ?? random(KEY_BYTES.headerKey),
    componentKey,
    customerPrivateKey: given.customerPrivateKey ?? randomP521Key(crypto, random),
  };
}

/** A private key on P-521: what is drawn beyond the order of the curve is drawn again (FIPS 186-4 B.4.2). */
export function randomP521Key(crypto: Pick<SePrimitives, 'p521PublicKey'>, random: SeRandom): Uint8Array {
  for (;;) {
    const key = random(KEY_BYTES.customerPrivateKey).slice();
    key[0] &= 1;
    try {
      crypto.p521PublicKey(key);
      return key;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
}

/** Its kind, then 48 random bits. */
function tweakPrefix(kind: SeKind, random: SeRandom): bigint {
  return random(6).reduce((prefix, byte) => (prefix << 8n) | BigInt(byte), BigInt(SE_KINDS[kind]));
}

/** stage3a with its arguments, which count from where they themselves begin. */
function stage3aWith(stage3a: Uint8Array, headerAt: number, headerBytes: number, ipibAt: number): Uint8Array {
  const from = BigInt(SE_PLACE.STAGE3A + stage3a.length - SE_STAGE3A_ARGUMENTS.bytes);
  return withArguments(
    'stage3a',
    stage3a,
    SE_STAGE3A_ARGUMENTS.write({
      headerOffset: BigInt(headerAt) - from,
      headerBytes: BigInt(headerBytes),
      ipibOffset: BigInt(ipibAt) - from,
    }),
  );
}

function stage3bWith(stage3b: Uint8Array, parts: readonly Part[], kernelEntry: bigint | undefined): Uint8Array {
  const where = (kind: SeKind): { address: bigint; bytes: bigint } => {
    const part = parts.find((candidate) => candidate.kind === kind);
    return { address: part?.place.address ?? 0n, bytes: BigInt(part?.size ?? 0) };
  };
  const [kernel, cmdline, ramdisk] = [where('kernel'), where('cmdline'), where('ramdisk')];
  return withArguments(
    'stage3b',
    stage3b,
    SE_STAGE3B_ARGUMENTS.write({
      kernelAddress: kernel.address,
      kernelBytes: kernel.bytes,
      cmdlineAddress: cmdline.address,
      cmdlineBytes: cmdline.bytes,
      ramdiskAddress: ramdisk.address,
      ramdiskBytes: ramdisk.bytes,
      pswMask: SE_PSW_MASK,
      pswAddress: kernelEntry ?? BigInt(SE_PLACE.KERNEL),
    }),
  );
}

function withArguments(place: string, loader: Uint8Array, values: Uint8Array): Uint8Array {
  const at = loader.length - values.length;
  if (at <= 0) throw new SeImageError(place, `${loader.length} bytes: there is no room for its arguments`);
  const out = loader.slice();
  out.set(values, at);
  return out;
}

/** What an IPIB says (s390-pv.md 6.4). */
export interface SeIpib {
  readonly headerAddress: bigint;
  readonly headerBytes: bigint;
  /** In ascending order of address and tweak. */
  readonly components: readonly { readonly tweakPrefix: bigint; readonly address: bigint; readonly length: bigint }[];
}

/** The bytes of an IPIB. */
export function writeSeIpib({ headerAddress, headerBytes, components }: SeIpib): Uint8Array {
  const length = SE_IPIB.bytes + components.length * SE_IPIB_COMPONENT.bytes;
  return join(
    SE_IPIB.write({
      length,
      flags: 0,
      version: SE_IPIB_IS.VERSION,
      blockLength: length - SE_IPIB.offsets.blockLength,
      blockType: SE_IPIB_IS.BLOCK_TYPE_PV,
      loadparm: new Uint8Array(8),
      blockVersion: SE_IPIB_IS.BLOCK_VERSION,
      components: components.length,
      headerAddress,
      headerBytes,
    }),
    ...components.map((component) => SE_IPIB_COMPONENT.write(component)),
  );
}
