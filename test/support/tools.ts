import { spawnSync } from 'node:child_process';

/** Foreign tools that judge us, each with a command that succeeds where it is installed and its Debian package. */
const TOOLS = {
  'powerpc64le-linux-gnu-gcc': {
    probe: ['powerpc64le-linux-gnu-gcc', '--version'],
    package: 'gcc-powerpc64le-linux-gnu',
  },
  'powerpc64le-linux-gnu-as': {
    probe: ['powerpc64le-linux-gnu-as', '--version'],
    package: 'binutils-powerpc64le-linux-gnu',
  },
  'powerpc64le-linux-gnu-ld': {
    probe: ['powerpc64le-linux-gnu-ld', '--version'],
    package: 'binutils-powerpc64le-linux-gnu',
  },
  'powerpc64le-linux-gnu-objcopy': {
    probe: ['powerpc64le-linux-gnu-objcopy', '--version'],
    package: 'binutils-powerpc64le-linux-gnu',
  },
  'powerpc64le-linux-gnu-objdump': {
    probe: ['powerpc64le-linux-gnu-objdump', '--version'],
    package: 'binutils-powerpc64le-linux-gnu',
  },
  'powerpc64le-linux-gnu-readelf': {
    probe: ['powerpc64le-linux-gnu-readelf', '--version'],
    package: 'binutils-powerpc64le-linux-gnu',
  },
  'powerpc64-linux-gnu-as': { probe: ['powerpc64-linux-gnu-as', '--version'], package: 'binutils-powerpc64-linux-gnu' },
  'powerpc64-linux-gnu-ld': { probe: ['powerpc64-linux-gnu-ld', '--version'], package: 'binutils-powerpc64-linux-gnu' },
  'powerpc64-linux-gnu-objdump': {
    probe: ['powerpc64-linux-gnu-objdump', '--version'],
    package: 'binutils-powerpc64-linux-gnu',
  },
  'qemu-system-ppc64': { probe: ['qemu-system-ppc64', '--version'], package: 'qemu-system-ppc' },
  'qemu-ppc64le': { probe: ['qemu-ppc64le', '--version'], package: 'qemu-user' },
  'aarch64-linux-gnu-gcc': { probe: ['aarch64-linux-gnu-gcc', '--version'], package: 'gcc-aarch64-linux-gnu' },
  'aarch64-linux-gnu-as': { probe: ['aarch64-linux-gnu-as', '--version'], package: 'binutils-aarch64-linux-gnu' },
  'aarch64-linux-gnu-ld': { probe: ['aarch64-linux-gnu-ld', '--version'], package: 'binutils-aarch64-linux-gnu' },
  'aarch64-linux-gnu-objdump': {
    probe: ['aarch64-linux-gnu-objdump', '--version'],
    package: 'binutils-aarch64-linux-gnu',
  },
  's390x-linux-gnu-gcc': { probe: ['s390x-linux-gnu-gcc', '--version'], package: 'gcc-s390x-linux-gnu' },
  's390x-linux-gnu-as': { probe: ['s390x-linux-gnu-as', '--version'], package: 'binutils-s390x-linux-gnu' },
  's390x-linux-gnu-ld': { probe: ['s390x-linux-gnu-ld', '--version'], package: 'binutils-s390x-linux-gnu' },
  's390x-linux-gnu-objcopy': { probe: ['s390x-linux-gnu-objcopy', '--version'], package: 'binutils-s390x-linux-gnu' },
  's390x-linux-gnu-objdump': { probe: ['s390x-linux-gnu-objdump', '--version'], package: 'binutils-s390x-linux-gnu' },
  'qemu-system-s390x': { probe: ['qemu-system-s390x', '--version'], package: 'qemu-system-misc' },
  'qemu-s390x': { probe: ['qemu-s390x', '--version'], package: 'qemu-user' },
  'qemu-system-aarch64': { probe: ['qemu-system-aarch64', '--version'], package: 'qemu-system-arm' },
  'qemu-aarch64': { probe: ['qemu-aarch64', '--version'], package: 'qemu-user' },
  script: { probe: ['script', '--version'], package: 'bsdutils' },
  openssl: { probe: ['openssl', 'version'], package: 'openssl' },
  dtc: { probe: ['dtc', '--version'], package: 'device-tree-compiler' },
  'python3-cryptography': { probe: ['python3', '-c', 'import cryptography'], package: 'python3-cryptography' },
} as const satisfies Record<string, { probe: readonly [string, ...string[]]; package: string }>;

export type ToolName = keyof typeof TOOLS;

export interface Tool {
  available: boolean;
  /** Why the tool cannot be used, and what to install; empty where it can. */
  reason: string;
}

const found = new Map<ToolName, Tool>();

/**
 * Tells whether a foreign tool can be used here, for `describe.skipIf(!requireTool('dtc').available)`.
 * A missing tool is said once per test file, in one line on stderr, so that no skip goes unexplained.
 */
export function requireTool(name: ToolName): Tool {
  const known = found.get(name);
  if (known) return known;
  const {
    probe: [command, ...args],
    package: debianPackage,
  } = TOOLS[name];
  const { error, status } = spawnSync(command, args, { stdio: 'ignore' });
  const available = error === undefined && status === 0;
  const reason = available ? '' : `${name} is not installed (Debian package ${debianPackage})`;
  if (!available) process.stderr.write(`skipped: ${reason}\n`);
  const tool = { available, reason };
  found.set(name, tool);
  return tool;
}
