import { defaultProvider } from '../crypto/default.ts';
import type { SeKind } from '../image/se/format.ts';
import { openSeImage, type SeImage, type SeOpened, trueSizes } from '../image/se/image-reader.ts';
import { UsageError } from './exit-status.ts';
import { requireDistinct } from './files.ts';
import { writeNewFile } from './new-file.ts';
import { say } from './say.ts';
import { openSeFile, readSeFile, type SeKeyOptions } from './se-files.ts';

/** The options of `cloister image se decrypt` as they were typed: where the components go. */
export interface SeDecryptOptions extends SeKeyOptions {
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly parmfile?: string;
  readonly stage3b?: string;
  readonly overwrite?: boolean;
}

const OUTPUTS: readonly (readonly [option: 'kernel' | 'ramdisk' | 'parmfile' | 'stage3b', kind: SeKind])[] = [
  ['kernel', 'kernel'],
  ['ramdisk', 'ramdisk'],
  ['parmfile', 'cmdline'],
  ['stage3b', 'stage3b'],
];

/** Writes components in the clear. Nothing is written if the header does not vouch for all of them. @throws UsageError */
export function decryptSe(file: string, options: SeDecryptOptions): void {
  const wanted = OUTPUTS.filter(([option]) => options[option] !== undefined);
  if (wanted.length === 0) throw new UsageError('--kernel, --ramdisk, --parmfile or --stage3b: one of them is needed');
  const image = readSeFile(file);
  const opened = openSeImage(image, openSeFile(file, image, options), defaultProvider());
  if (opened.differences.length > 0) {
    throw new UsageError(
      `${file}: its pages are not those that the header vouches for: ${opened.differences.join(', ')}`,
    );
  }
  const files = wanted.map(([option, kind]) => {
    const contents = componentOf(image, opened, kind);
    if (contents === null) throw new UsageError(`--${option}: ${file} has no ${kind}`);
    return { option, out: options[option] as string, contents };
  });
  for (const [i, { option, out }] of files.entries()) {
    requireDistinct(`--${option}`, out, [file, ...files.slice(0, i).map((before) => before.out)]);
  }
  for (const { out, contents } of files) {
    writeNewFile(out, contents, { force: options.overwrite ?? false, mode: 0o600 });
    say(`${out}: ${contents.length} bytes`);
  }
}

/** A component without the zeros behind it, where stage3b says how long it was; null if there is none. */
export function componentOf(image: SeImage, opened: SeOpened, kind: SeKind): Uint8Array | null {
  const contents = opened.components.find((component) => component.kind === kind)?.contents;
  return contents?.subarray(0, trueSizes(image, opened)?.[kind] ?? contents.length) ?? null;
}
