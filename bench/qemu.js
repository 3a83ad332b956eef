// Runs a guest on QEMU's machine of its architecture, the judge that docs and design name, or a program on its user-mode emulator.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const BARE = ['-nodefaults', '-serial', 'stdio', '-display', 'none'];
const PSERIES = 'pseries,x-vof=on,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off';

/** By architecture: the command, its machine, and the Debian package. */
const MACHINES = {
  powerpc: { command: 'qemu-system-ppc64', args: ['-M', PSERIES, '-cpu', 'power9', ...BARE], from: 'qemu-system-ppc' },
  arm64: {
    command: 'qemu-system-aarch64',
    args: ['-M', 'virt,gic-version=3', '-cpu', 'max', ...BARE],
    from: 'qemu-system-arm',
  },
  s390: { command: 'qemu-system-s390x', args: ['-M', 's390-ccw-virtio', ...BARE], from: 'qemu-system-misc' },
};
/** The same for programs. */
const USER = { arm64: { command: 'qemu-aarch64', from: 'qemu-user' } };

const TIMEOUT = 120_000;

const found = new Map();

function have({ command, from }, what) {
  if (!found.has(command)) {
    const there = spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
    found.set(command, there);
    if (!there) console.log(`skipped: ${what}, ${command} is not installed (Debian package ${from})`);
  }
  return found.get(command);
}

/** The name of QEMU's machine emulator. */
export const qemuName = (arch) => MACHINES[arch].command;

/** Whether there is a QEMU; says so once if there is none. */
export const haveQemu = (arch = 'powerpc') => have(MACHINES[arch], 'all comparison with QEMU');

/** Whether there is a user-mode QEMU that this bench has a use for. */
export const haveUserQemu = (arch) => arch in USER && have(USER[arch], 'comparison with user-mode QEMU');

/** A guest on QEMU's machine. */
export function runQemu({ arch = 'powerpc', image, cmdline = '' }) {
  const { command, args } = MACHINES[arch];
  return time(command, [...args, '-kernel', image, '-append', cmdline], image);
}

/** A Linux program on QEMU, with one argument. */
export const runUserQemu = ({ arch, image, cmdline }) => time(USER[arch].command, [image, cmdline], image);

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
 * @returns {Promise<{ lines: import('./ours.js').Line[], firstByte: number, peakMemory: number }>} the memory is that up to the first byte
 */
function time(command, args, image) {
  const started = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
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
      else reject(new Error(`${image} on ${command}: exit status ${status}\n${stderr}`));
    });
  });
}
