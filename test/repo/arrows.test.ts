import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
const config = join(root, '.dependency-cruiser.cjs');

interface Violation {
  from: string;
  to: string;
  rule: { name: string };
}

/** Runs the checker as `npm run arrows` does, on the `src/` of the given directory. */
function violationsOf(directory: string): Violation[] {
  const json = execFileSync(process.execPath, [bin, '--config', config, '--output-type', 'json', 'src'], {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return JSON.parse(json).summary.violations;
}

/** Checks a tree made of the given files (path → text) only. */
function violationsIn(files: Record<string, string>): Violation[] {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-arrows-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    return violationsOf(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function specifier(from: string, to: string): string {
  const path = relative(dirname(from), to);
  return path.startsWith('.') ? path : `./${path}`;
}

const LEAVES: Record<string, string> = {
  wasm: 'src/wasm/leaf.ts',
  engine: 'src/engine/leaf.ts',
  float: 'src/float/leaf.ts',
  machine: 'src/machine/leaf.ts',
  'host view': 'src/machine/host-view.ts',
  'machine types': 'src/machine/types.ts',
  devices: 'src/devices/leaf.ts',
  crypto: 'src/crypto/leaf.ts',
  image: 'src/image/leaf.ts',
  trace: 'src/trace/leaf.ts',
  cli: 'src/cli/leaf.ts',
  abi: 'src/powerpc/abi.ts',
  isa: 'src/powerpc/isa/leaf.ts',
  cpu: 'src/powerpc/cpu/leaf.ts',
  port: 'src/powerpc/cpu/port.ts',
  ultravisor: 'src/powerpc/ultravisor/leaf.ts',
  kvm: 'src/powerpc/kvm/leaf.ts',
  vmm: 'src/powerpc/vmm/leaf.ts',
  'arm64 abi': 'src/arm64/abi.ts',
  'arm64 isa': 'src/arm64/isa/leaf.ts',
  'arm64 port': 'src/arm64/cpu/port.ts',
  'arm64 hyp': 'src/arm64/hyp/leaf.ts',
  'arm64 kvm': 'src/arm64/kvm/leaf.ts',
  's390 abi': 'src/s390/abi.ts',
};

const MACHINE = ['machine', 'host view', 'machine types'];
const HOST_VIEW = ['host view', 'machine types'];
const CPU = ['cpu', 'port'];
const SHARED = ['wasm', 'engine', 'float', ...MACHINE, 'devices', 'crypto', 'image', 'trace'];
const POWERPC = ['abi', 'isa', ...CPU, 'ultravisor', 'kvm', 'vmm'];

/** The allowed arrows of the layout: whatever is not listed in a row must be refused. */
const ALLOWED: Record<string, string[]> = {
  'src/wasm/from.ts': ['wasm'],
  'src/engine/from.ts': ['engine', 'wasm'],
  'src/float/from.ts': ['float', 'engine', 'wasm'],
  'src/machine/from.ts': [...MACHINE, 'engine', 'wasm', 'trace', 'crypto'],
  'src/devices/from.ts': ['devices', ...HOST_VIEW, 'trace'],
  'src/crypto/from.ts': ['crypto', 'wasm'],
  'src/image/from.ts': ['image'],
  'src/trace/from.ts': ['trace'],
  'src/powerpc/isa/from.ts': ['isa', 'abi', 'float', 'engine', 'wasm'],
  'src/powerpc/cpu/from.ts': [...CPU, 'isa', 'abi', ...MACHINE, 'engine', 'wasm', 'trace'],
  'src/powerpc/ultravisor/from.ts': [
    'ultravisor',
    ...CPU,
    'isa',
    'abi',
    ...MACHINE,
    'engine',
    'wasm',
    'trace',
    'crypto',
    'image',
  ],
  'src/powerpc/kvm/from.ts': ['kvm', 'abi', 'port', ...HOST_VIEW, 'devices', 'trace', 'image', 'crypto'],
  'src/powerpc/vmm/from.ts': ['vmm', 'kvm', 'abi', 'port', ...HOST_VIEW, 'devices', 'trace', 'image'],
  'src/powerpc/machine.ts': [...SHARED, ...POWERPC],
  'src/arm64/hyp/from.ts': [
    'arm64 hyp',
    'arm64 port',
    'arm64 isa',
    'arm64 abi',
    ...MACHINE,
    'engine',
    'wasm',
    'trace',
    'crypto',
    'image',
  ],
  'src/arm64/kvm/from.ts': [
    'arm64 kvm',
    'arm64 port',
    'arm64 abi',
    ...HOST_VIEW,
    'devices',
    'trace',
    'image',
    'crypto',
  ],
  'src/s390/machine.ts': [...SHARED, 's390 abi'],
  'src/index.ts': Object.keys(LEAVES).filter((name) => name !== 'cli'),
  'src/cli/from.ts': Object.keys(LEAVES),
};

describe('the import arrows', () => {
  it('hold in this tree', () => {
    expect(violationsOf(root).map(({ from, to, rule }) => `${rule.name}: ${from} → ${to}`)).toEqual([]);
  });

  describe('between every two folders', () => {
    const refused = new Set<string>();

    beforeAll(() => {
      const files: Record<string, string> = {};
      for (const leaf of Object.values(LEAVES)) files[leaf] = 'export type Leaf = number;\n';
      for (const from of Object.keys(ALLOWED)) {
        files[from] = Object.values(LEAVES)
          .map((to, i) => `export type { Leaf as Leaf${i} } from '${specifier(from, to)}';\n`)
          .join('');
      }
      for (const { from, to } of violationsIn(files)) refused.add(`${from} → ${to}`);
    });

    it.each(Object.keys(ALLOWED))('%s reaches exactly what the layout allows', (from) => {
      const reached = Object.keys(LEAVES).filter((name) => !refused.has(`${from} → ${LEAVES[name]}`));
      expect(reached.sort()).toEqual([...ALLOWED[from]].sort());
    });
  });

  describe('are named when crossed', () => {
    const LEAF = 'export type Leaf = number;\nexport const leaf = 1;\n';
    const CROSSINGS: [rule: string, from: string, statement: string, to: string][] = [
      [
        'untrusted-never-sees-trusted',
        'src/powerpc/kvm/a.ts',
        "import { leaf } from '@';",
        'src/powerpc/ultravisor/x.ts',
      ],
      ['untrusted-never-sees-trusted', 'src/arm64/vmm/a.ts', "import type { Leaf } from '@';", 'src/arm64/hyp/x.ts'],
      [
        'untrusted-never-sees-trusted',
        'src/powerpc/kvm/b.ts',
        "let x: import('@').Leaf;",
        'src/powerpc/ultravisor/x.ts',
      ],
      ['untrusted-never-sees-trusted', 'src/devices/a.ts', "export * from '@';", 'src/s390/ultravisor/x.ts'],
      ['untrusted-never-sees-trusted', 'src/s390/kvm/a.ts', "await import('@');", 'src/s390/ultravisor/x.ts'],
      ['trusted-never-sees-untrusted', 'src/powerpc/ultravisor/a.ts', "import '@';", 'src/powerpc/kvm/x.ts'],
      ['trusted-never-sees-untrusted', 'src/arm64/hyp/a.ts', "import '@';", 'src/arm64/vmm/x.ts'],
      ['no-architecture-imports-another', 'src/arm64/cpu/a.ts', "import '@';", 'src/powerpc/cpu/x.ts'],
      ['no-architecture-imports-another', 'src/s390/machine.ts', "import '@';", 'src/arm64/abi.ts'],
      ['engine-stands-on-wasm', 'src/engine/a.ts', "import '@';", 'src/machine/x.ts'],
      ['wasm-stands-alone', 'src/wasm/a.ts', "import '@';", 'src/engine/x.ts'],
      ['float-below-architectures', 'src/float/a.ts', "import '@';", 'src/powerpc/isa/x.ts'],
      ['machine-below-architectures', 'src/machine/a.ts', "import '@';", 'src/powerpc/cpu/x.ts'],
      ['kvm-sees-the-abi', 'src/powerpc/kvm/c.ts', "import '@';", 'src/powerpc/cpu/x.ts'],
      ['kvm-sees-the-abi', 'src/powerpc/kvm/d.ts', "import '@';", 'src/machine/x.ts'],
      ['vmm-sees-kvm', 'src/s390/vmm/a.ts', "import '@';", 'src/s390/cpu/x.ts'],
      ['cpu-below-the-wall', 'src/powerpc/cpu/a.ts', "import '@';", 'src/powerpc/ultravisor/x.ts'],
      ['isa-stands-on-engine', 'src/powerpc/isa/a.ts', "import '@';", 'src/machine/x.ts'],
      ['trusted-base', 'src/powerpc/ultravisor/b.ts', "import '@';", 'src/powerpc/machine.ts'],
      ['devices-see-host-views', 'src/devices/b.ts', "import '@';", 'src/machine/x.ts'],
      ['nothing-imports-cli', 'src/powerpc/machine.ts', "import '@';", 'src/cli/x.ts'],
      ['nothing-imports-cli', 'src/index.ts', "import '@';", 'src/cli/x.ts'],
      ['every-module-has-a-wall', 'src/helpers/a.ts', "import '@';", 'src/wasm/x.ts'],
      ['every-module-has-a-wall', 'src/powerpc/helpers.ts', "import '@';", 'src/wasm/x.ts'],
      ['node-only-at-the-edge', 'src/machine/b.ts', "import 'node:fs';", 'fs'],
      ['imports-resolve', 'src/image/a.ts', "import './missing.ts';", './missing.ts'],
      ['src-stays-in-src', 'src/image/b.ts', "import '@';", 'test/x.ts'],
      ['no-circular', 'src/trace/a.ts', "import '@';", 'src/trace/b.ts'],
      [
        'packages-where-they-belong',
        'src/engine/b.ts',
        "import 'runtime-package';",
        'node_modules/runtime-package/index.js',
      ],
      ['no-development-package', 'src/cli/a.ts', "import 'test-package';", 'node_modules/test-package/index.js'],
    ];
    const reported = new Set<string>();

    beforeAll(() => {
      const files: Record<string, string> = {
        'package.json': '{"dependencies":{"runtime-package":"1.0.0"},"devDependencies":{"test-package":"1.0.0"}}',
        'node_modules/runtime-package/index.js': '',
        'node_modules/test-package/index.js': '',
        'src/trace/b.ts': "import './a.ts';\n",
      };
      for (const [, , statement, to] of CROSSINGS) if (statement.includes('@')) files[to] ??= LEAF;
      for (const [, from, statement, to] of CROSSINGS) {
        files[from] = `${files[from] ?? ''}${statement.replace('@', specifier(from, to))}\n`;
      }
      for (const { from, to, rule } of violationsIn(files)) reported.add(`${rule.name}: ${from} → ${to}`);
    });

    it.each(CROSSINGS)('%s: %s says %s', (rule, from, _statement, to) => {
      expect([...reported]).toContain(`${rule}: ${from} → ${to}`);
    });
  });
});
