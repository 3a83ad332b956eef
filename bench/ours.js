// Runs a guest on our machine, in a process of its own, as QEMU has one.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** What `npm ci` built; another build by CLOISTER_DIST, to compare two. */
export const DIST = process.env.CLOISTER_DIST ?? join(import.meta.dirname, '../dist');

/**
 * @typedef {object} GuestRun
 * @property {string} [arch] Power if there is none
 * @property {string} image path of the ELF file
 * @property {string} [cmdline]
 * @property {boolean} [protected]
 * @property {string} [pkvmProfile]
 * @property {boolean} [interpret]
 *
 * @typedef {object} Line
 * @property {string} text
 * @property {number} at milliseconds since some moment of the run
 * @property {number} [cpu] milliseconds of processor time, see ours-child.js
 *
 * @typedef {object} OurResult
 * @property {Line[]} lines the console
 * @property {number} firstByte milliseconds from the start of the process to the first byte on the console
 * @property {number} machineToFirstByte milliseconds from before the machine was made
 * @property {number} instructions
 * @property {number} peakMemory bytes of the whole process
 */

/**
 * @param {GuestRun} run
 * @returns {OurResult}
 */
export function runOurs(run) {
  const child = join(import.meta.dirname, 'ours-child.js');
  const started = performance.timeOrigin + performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [child, DIST, JSON.stringify(run)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`${run.image} on our machine:\n${stderr || stdout}`);
  const { firstByteAt, ...result } = JSON.parse(stdout);
  return { ...result, firstByte: firstByteAt - started };
}
