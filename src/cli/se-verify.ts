import { defaultProvider } from '../crypto/default.ts';
import type { SeKind } from '../image/se/format.ts';
import { openSeImage, type SeOpened } from '../image/se/image-reader.ts';
import { seKernel } from '../image/se/kernel.ts';
import { print } from './console-output.ts';
import { EXIT_STATUS } from './exit-status.ts';
import { readImage } from './files.ts';
import { componentOf } from './se-decrypt.ts';
import { openSeFile, readSeFile, type SeKeyOptions } from './se-files.ts';

/** The options of `cloister image se verify` as they were typed. */
export interface SeVerifyOptions extends SeKeyOptions {
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly parmfile?: string;
}

/** What an Ultravisor compares at the end (s390-pv.md 2.10). */
const CHECKS = [
  ['page count', 'number of pages'],
  ['PLD', 'pages'],
  ['ALD', 'addresses of pages'],
  ['TLD', 'tweaks of pages'],
] as const;

/** Checks an image as an Ultravisor does, and files against it. @returns the exit status. @throws UsageError, ImageError */
export function verifySe(file: string, options: SeVerifyOptions): number {
  const image = readSeFile(file);
  const opened = openSeImage(image, openSeFile(file, image, options), defaultProvider());
  let right = opened.differences.length === 0;
  print('header: authentic\n');
  for (const [name, text] of CHECKS) {
    print(
      `${text}: ${opened.differences.includes(name) ? `not as the header has it (${name})` : 'as the header has it'}\n`,
    );
  }
  const compare = (kind: SeKind, expected: Uint8Array | undefined): void => {
    if (expected === undefined) return;
    const found = componentOf(image, opened, kind);
    const same = found !== null && Buffer.from(found).equals(expected);
    print(`${kind}: ${same ? 'as in the image' : differs(opened, kind, found, expected)}\n`);
    right &&= same;
  };
  compare('kernel', options.kernel === undefined ? undefined : seKernel(readImage(options.kernel), false).memory);
  compare('ramdisk', options.ramdisk === undefined ? undefined : readImage(options.ramdisk).bytes);
  compare('cmdline', options.parmfile === undefined ? undefined : withNul(readImage(options.parmfile).bytes));
  return right ? EXIT_STATUS.ok : EXIT_STATUS.crashed;
}

function differs(opened: SeOpened, kind: SeKind, found: Uint8Array | null, expected: Uint8Array): string {
  if (found === null) return `the image has none (${opened.components.length} components)`;
  if (found.length !== expected.length) return `differs: ${expected.length} bytes, but the ${kind} has ${found.length}`;
  return `differs at byte ${found.findIndex((byte, i) => byte !== expected[i])}`;
}

function withNul(text: Uint8Array): Uint8Array {
  return text[text.length - 1] === 0 ? text : Uint8Array.of(...text, 0);
}
