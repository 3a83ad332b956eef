// The compute kernels as Linux programs, for user-mode QEMU: built when they are needed, with the options of the guests.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BUILD = join(import.meta.dirname, '../guests/build.sh');

/**
 * @param {string} arch
 * @returns {((name: string) => string) | null} the program of a kernel; null without the cross tools, which is said
 */
export function userKernels(arch) {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const { status, stderr } = spawnSync(BUILD, ['--user-kernels', arch, directory], { encoding: 'utf8' });
  if (status === 0) return (name) => join(directory, name);
  console.log(`skipped: comparison with user-mode QEMU, the programs cannot be built: ${stderr.split('\n')[0]}`);
  return null;
}
