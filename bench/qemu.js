// Runs a guest on QEMU's pseries machine, the judge that docs and design name.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const QEMU = 'qemu-system-ppc64';
const PSERIES = [
  ...['-M', 'pseries,x-vof=on,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off'],
  ...['-cpu', 'power9', '-nodefaults', '-serial', 'stdio', '-display', 'none'],
];
const TIMEOUT = 120_000;

let found;

/** Whether there is a QEMU; says so once if there is none. */
export function haveQemu() {
  if (found === undefined) {
    found = spawnSync(QEMU, ['--version'], { stdio: 'ignore' }).status === 0;
    if (!found)
      console.log(`skipped: all comparison with QEMU, ${QEMU} is not installed (Debian package qemu-system-ppc)`);
  }
  return found;
}

/** Most bytes that a process had resident so far, where Linux tells it (proc(5)). */
function residentPeak(pid) {
  try {
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kibibytes) * 1024;
  } catch {
    return Number.NaN;
  }
}

/**
 * @param {{ image: string, cmdline?: string }} run
 * @returns {Promise<{ lines: import('./ours.js').Line[], firstByte: number, peakMemory: number }>} the memory is that up to the first byte
 */
export function runQemu({ image, cmdline = '' }) {
  const started = performance.now();
  const child = spawn(QEMU, [...PSERIES, '-kernel', image, '-append', cmdline], { stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
  const lines = [];
  let text = '';
  let stderr = '';
  let firstByte = Number.NaN;
  let peakMemory = Number.NaN;
  child.stderr.on('data', (bytes) => {
    stderr += bytes;
  });
  child.stdout.on('data', (bytes) => {
    const at = performance.now();
    if (Number.isNaN(firstByte)) {
      firstByte = at - started;
      peakMemory = residentPeak(child.pid);
    }
    const parts = (text + bytes.toString('latin1').replaceAll('\r', '')).split('\n');
    text = parts.pop() ?? '';
    for (const line of parts) lines.push({ text: line, at });
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      clearTimeout(timer);
      if (status === 0) resolve({ lines, firstByte, peakMemory });
      else reject(new Error(`${image} on QEMU: exit status ${status}\n${stderr}`));
    });
  });
}
