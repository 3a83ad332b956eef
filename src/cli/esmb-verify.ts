import { defaultProvider } from '../crypto/default.ts';
import { readRsaPrivateKey } from '../crypto/rsa-key.ts';
import { openEsmDigests } from '../image/esm-blob.ts';
import { differingDigests, digestsOf, type EsmMeasured } from '../image/esm-image.ts';
import { print } from './console-output.ts';
import { initrdProper, naming, readEsmb, unlock } from './esmb-files.ts';
import { EXIT_STATUS } from './exit-status.ts';
import { readImage } from './files.ts';
import { readKeyFile } from './key-files.ts';

/** The options of `cloister image esmb verify` as they were typed. */
export interface VerifyOptions {
  readonly key: string;
  readonly kernel: string;
  readonly initrd?: string;
  readonly cmdline: string;
  readonly rtas?: string;
}

/** Checks files against a blob, and says what differs. @returns the exit status. @throws UsageError, ImageError */
export function verifyEsmb(file: string, options: VerifyOptions): number {
  const crypto = defaultProvider();
  const esmb = readEsmb(file);
  const key = unlock(esmb, readKeyFile(options.key, readRsaPrivateKey).key, options.key);
  const expected = naming(file, () => openEsmDigests(esmb.blob, key, crypto));
  const found = digestsOf(
    {
      kernel: readImage(options.kernel),
      initrd: options.initrd === undefined ? (esmb.initrd ?? new Uint8Array(0)) : initrdProper(options.initrd),
      bootargs: options.cmdline,
      ...(options.rtas !== undefined && { rtas: readImage(options.rtas).bytes }),
    },
    crypto,
  );
  const different = differingDigests(expected, found);
  const names: Readonly<Record<EsmMeasured, string>> = {
    kernel: 'kernel',
    initrd: 'initrd',
    bootargs: 'command line',
    rtas: 'RTAS',
  };
  for (const [name, text] of Object.entries(names) as [EsmMeasured, string][]) {
    const size = name === 'kernel' && expected.kernelSize !== found.kernelSize;
    const detail = size ? `: ${found.kernelSize} bytes instead of ${expected.kernelSize}` : '';
    print(`${text}: ${different.includes(name) ? `differs${detail}` : 'as the blob has it'}\n`);
  }
  return different.length === 0 ? EXIT_STATUS.ok : EXIT_STATUS.crashed;
}
