import { randomBytes } from 'node:crypto';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultProvider } from '../crypto/default.ts';
import { kernelBytes } from '../image/kernel-bytes.ts';
import { SE_PCF, SE_SCF } from '../image/se/format.ts';
import { makeSeImage, type SeImageKeys, type SeLoaders } from '../image/se/image-writer.ts';
import { commandLineLimit, seKernel } from '../image/se/kernel.ts';
import { UsageError } from './exit-status.ts';
import { readImage, requireDistinct } from './files.ts';
import { writeNewFile } from './new-file.ts';
import { say } from './say.ts';
import { naming, readSecret } from './se-files.ts';
import { type FlagOptions, flagsOf, numberOf } from './se-flags.ts';
import { type HostKeyOptions, hostKeysOf } from './se-host-keys.ts';

/** The options of `cloister image se create` as they were typed. */
export interface SeCreateOptions extends HostKeyOptions, FlagOptions {
  readonly kernel: string;
  readonly ramdisk?: string;
  readonly parmfile?: string;
  readonly cmdline?: string;
  readonly output: string;
  readonly cck?: string;
  readonly hdrKey?: string;
  readonly imageKey?: string;
  readonly xPsw?: string;
  readonly xBootloaderDirectory?: string;
  /** False with `--no-component-check`. */
  readonly componentCheck: boolean;
  readonly overwrite?: boolean;
}

const LOADERS = fileURLToPath(new URL('../../guests/s390/se-loader/', import.meta.url));
/** Bytes of the keys that one may bring. */
const KEY_FILES = { cck: 32, hdrKey: 32, imageKey: 64 } as const;

const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));

/** Makes an image. Everything is read and checked before anything is written. @throws UsageError, ImageError */
export function createSe(options: SeCreateOptions): void {
  const { output, overwrite = false, componentCheck, ramdisk: ramdiskFile } = options;
  const hostKeys = hostKeysOf(options);
  const { plaintextFlags, secretFlags } = flagsOf(options);
  requireCck(options, plaintextFlags, secretFlags);
  if (!options.verify) say('warning: --no-verify: whoever has the private halves of these keys can read the image');
  const kernel = seKernel(readImage(options.kernel), componentCheck);
  const cmdline = commandLine(options);
  const limit = commandLineLimit(kernel);
  if (componentCheck && cmdline !== undefined && BigInt(cmdline.length) > limit) {
    throw new UsageError(`command line: ${cmdline.length} bytes with its NUL, but the kernel takes ${limit}`);
  }
  const pswAddress = numberOf('--x-psw', options.xPsw);
  const source = {
    kernel: kernel.memory,
    kernelEntry: kernel.entry,
    ...(ramdiskFile !== undefined && { ramdisk: readImage(ramdiskFile).bytes }),
    ...(cmdline !== undefined && { cmdline }),
    ...(pswAddress !== null && { pswAddress }),
    loaders: readLoaders(options.xBootloaderDirectory),
    keys: readKeys(options),
    ...{ hostKeys, plaintextFlags, secretFlags },
  };
  const { image } = naming(options.kernel, () => makeSeImage(source, defaultProvider(), random));
  const inputs = [options.kernel, ramdiskFile, options.parmfile].filter((file) => file !== undefined);
  requireDistinct('--output', output, inputs);
  writeNewFile(output, image, { force: overwrite });
  say(`${output}: ${image.length} bytes, for ${hostKeys.length} ${hostKeys.length === 1 ? 'machine' : 'machines'}`);
}

/** Who allows a dump has to be able to read it; who enforces the extension secret, to derive it. */
function requireCck({ cck }: SeCreateOptions, plaintextFlags: bigint, secretFlags: bigint): void {
  const update = (secretFlags & SE_SCF.CCK_UPDATE_ALLOWED) !== 0n;
  const extension = (secretFlags & SE_SCF.CCK_EXTENSION_SECRET_ENFORCED) !== 0n;
  if ((plaintextFlags & SE_PCF.ALLOW_DUMPING) !== 0n && cck === undefined && !update) {
    throw new UsageError('--enable-dump: it needs --cck or --enable-cck-update');
  }
  if (extension && cck === undefined) throw new UsageError('--enable-cck-extension-secret: it needs --cck');
  if (extension && update) {
    throw new UsageError('--enable-cck-extension-secret and --enable-cck-update: one of them');
  }
}

/** With its NUL, as it lies in memory. */
function commandLine({ parmfile, cmdline }: SeCreateOptions): Uint8Array | undefined {
  if (parmfile !== undefined && cmdline !== undefined) throw new UsageError('--parmfile and --cmdline: one of them');
  if (parmfile === undefined && cmdline === undefined) return undefined;
  const text = cmdline === undefined ? readImage(parmfile as string).bytes : new TextEncoder().encode(cmdline);
  return text[text.length - 1] === 0 ? text : Uint8Array.of(...text, 0);
}

/** Ours, or those of a directory with the names that s390-tools give them. */
function readLoaders(directory: string | undefined): SeLoaders {
  if (directory !== undefined) {
    const read = (name: string): Uint8Array => readImage(joinPath(directory, name)).bytes;
    return { stage3a: read('stage3a.bin'), stage3b: read('stage3b_reloc.bin') };
  }
  const read = (name: string): Uint8Array => {
    const { bytes, file } = readImage(joinPath(LOADERS, name));
    return kernelBytes(bytes, file);
  };
  return { stage3a: read('stage3a.elf'), stage3b: read('stage3b.elf') };
}

function readKeys(options: SeCreateOptions): SeImageKeys {
  const read = (name: keyof typeof KEY_FILES): Uint8Array | undefined => {
    const file = options[name];
    return file === undefined ? undefined : readSecret(file, KEY_FILES[name]);
  };
  const [communicationKey, headerKey, componentKey] = [read('cck'), read('hdrKey'), read('imageKey')];
  return {
    ...(communicationKey !== undefined && { communicationKey }),
    ...(headerKey !== undefined && { headerKey }),
    ...(componentKey !== undefined && { componentKey }),
  };
}
