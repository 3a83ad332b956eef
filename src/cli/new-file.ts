import { writeFileSync } from 'node:fs';
import { UsageError } from './exit-status.ts';
import { reasonOf } from './files.ts';

/**
 * Writes a file that is not there yet; with `force`, also over one that is.
 * @throws UsageError that names the file and the reason
 */
export function writeNewFile(
  file: string,
  contents: string | Uint8Array,
  { force, mode = 0o644 }: { readonly force: boolean; readonly mode?: number },
): void {
  try {
    writeFileSync(file, contents, { flag: force ? 'w' : 'wx', mode });
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw new UsageError(`${file}: ${exists ? 'it is there already (--force writes over it)' : reasonOf(error)}`);
  }
}
