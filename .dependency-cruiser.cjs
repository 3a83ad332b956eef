const path = require('node:path');

const HOST_VIEW = 'src/machine/(host-view|types)\\.ts$';
const ANY_ARCH = '(powerpc|s390|arm64)';
const TRUSTED = '(ultravisor|hyp)';

// In a row, `$1` stands for the architecture that `from` matched.
const ARROWS = [
  {
    name: 'wasm-stands-alone',
    comment: 'The WebAssembly builder is the ground floor: it knows no machine.',
    from: '^src/wasm/',
    may: ['src/wasm/'],
  },
  {
    name: 'trace-stands-alone',
    comment: 'The event stream is used by everyone, so it stands on nothing of ours.',
    from: '^src/trace/',
    may: ['src/trace/'],
  },
  {
    name: 'image-stands-alone',
    comment: 'Image formats are used on both sides of the wall, so they stand on nothing of ours.',
    from: '^src/image/',
    may: ['src/image/'],
  },
  {
    name: 'crypto-stands-on-wasm',
    comment: 'Crypto is used on both sides of the wall; it may translate its inner loops, nothing more.',
    from: '^src/crypto/',
    may: ['src/crypto/', 'src/wasm/'],
  },
  {
    name: 'engine-stands-on-wasm',
    comment: 'The engine executes any instruction set: it must not learn about machines or architectures.',
    from: '^src/engine/',
    may: ['src/engine/', 'src/wasm/'],
  },
  {
    name: 'float-below-architectures',
    comment:
      'Arithmetic that all instruction sets share: numbers, and how generated code rounds; it knows no registers.',
    from: '^src/float/',
    may: ['src/float/', 'src/engine/', 'src/wasm/'],
  },
  {
    name: 'machine-below-architectures',
    comment: 'Memory, clock and host view are what all architectures stand on.',
    from: '^src/machine/',
    may: ['src/machine/', 'src/engine/', 'src/wasm/', 'src/trace/', 'src/crypto/'],
  },
  {
    name: 'devices-see-host-views',
    comment:
      'The wall around RAM: a device is as untrusted as the hypervisor and reaches memory through a host view only.',
    from: '^src/devices/',
    may: ['src/devices/', HOST_VIEW, 'src/trace/'],
  },
  {
    name: 'abi-stands-alone',
    comment:
      'The ABI is the one file that both sides of the wall share: numbers, layouts and codes, nothing that runs.',
    from: `^src/${ANY_ARCH}/abi\\.ts$`,
    may: [],
  },
  {
    name: 'isa-stands-on-engine',
    comment: 'Instruction definitions are meaning over typed expressions: no memory map, no trap handling.',
    from: `^src/${ANY_ARCH}/isa/`,
    may: ['src/$1/isa/', 'src/$1/abi\\.ts$', 'src/float/', 'src/engine/', 'src/wasm/'],
  },
  {
    name: 'cpu-below-the-wall',
    comment: 'The CPU model is hardware: it traps to a privilege level and never knows whose software stands there.',
    from: `^src/${ANY_ARCH}/cpu/`,
    may: ['src/$1/cpu/', 'src/$1/isa/', 'src/$1/abi\\.ts$', 'src/machine/', 'src/engine/', 'src/wasm/', 'src/trace/'],
  },
  {
    name: 'trusted-base',
    comment:
      'The trusted part stands on hardware, crypto and image formats: each further import enlarges what must be trusted.',
    from: `^src/${ANY_ARCH}/${TRUSTED}/`,
    may: [
      `src/$1/${TRUSTED}/`,
      'src/$1/cpu/',
      'src/$1/isa/',
      'src/$1/abi\\.ts$',
      'src/machine/',
      'src/engine/',
      'src/wasm/',
      'src/trace/',
      'src/crypto/',
      'src/image/',
    ],
  },
  {
    name: 'kvm-sees-the-abi',
    comment:
      'The wall between KVM and the machine: call ABI, architected registers (cpu/port.ts) and host view are all that a hypervisor has.',
    from: `^src/${ANY_ARCH}/kvm/`,
    may: [
      'src/$1/kvm/',
      'src/$1/abi\\.ts$',
      'src/$1/cpu/(host-)?port\\.ts$',
      HOST_VIEW,
      'src/devices/',
      'src/trace/',
      'src/image/',
      'src/crypto/',
    ],
  },
  {
    name: 'vmm-sees-kvm',
    comment: 'The wall between the VMM and the machine: it drives KVM and devices, with no more sight than KVM has.',
    from: `^src/${ANY_ARCH}/vmm/`,
    may: [
      'src/$1/vmm/',
      'src/$1/kvm/',
      'src/$1/abi\\.ts$',
      'src/$1/cpu/(host-)?port\\.ts$',
      HOST_VIEW,
      'src/devices/',
      'src/trace/',
      'src/image/',
    ],
  },
  {
    name: 'machine-assembles-one-architecture',
    comment: "An architecture's machine.ts puts its own parts together; only src/index.ts and src/cli/ stand above it.",
    from: `^src/${ANY_ARCH}/(machine|host-machine|pkvm-machine|el3-firmware|run-watch|tenant)\\.ts$`,
    may: ['src/$1/', 'src/(wasm|engine|float|machine|devices|crypto|image|trace)/'],
  },
];

const arrow = ({ name, comment, from, may }) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: '^src/', pathNot: may.map((target) => `^${target}`) },
});

// What the rows above imply is said again here on purpose: whoever widens a row for convenience still meets these.
const WALLS = [
  {
    name: 'untrusted-never-sees-trusted',
    comment:
      'The wall: KVM, VMM and devices reach the ultravisor through call number and registers, never through its code.',
    from: { path: `^src/(devices|${ANY_ARCH}/(kvm|vmm))/` },
    to: { path: `^src/${ANY_ARCH}/${TRUSTED}/` },
  },
  {
    name: 'trusted-never-sees-untrusted',
    comment: 'The wall from inside: the ultravisor trusts nothing of KVM, VMM or devices, not even their types.',
    from: { path: `^src/${ANY_ARCH}/${TRUSTED}/` },
    to: { path: `^src/(devices|${ANY_ARCH}/(kvm|vmm))/` },
  },
  {
    name: 'no-architecture-imports-another',
    comment:
      'The wall between architectures: what they do alike lives below them, what differs is written out in each.',
    from: { path: `^src/${ANY_ARCH}/` },
    to: { path: `^src/${ANY_ARCH}/`, pathNot: '^src/$1/' },
  },
  {
    name: 'nothing-imports-cli',
    comment: 'The command line assembles the parts; no part knows it.',
    from: { pathNot: '^src/cli/' },
    to: { path: '^src/cli/' },
  },
  {
    name: 'no-circular',
    comment: 'A circle of imports is one module in disguise.',
    from: {},
    to: { circular: true },
  },
  {
    name: 'every-module-has-a-wall',
    comment: 'A module outside the known folders escapes every rule: give its folder a row first.',
    from: {
      path: '^src/',
      pathNot: [...ARROWS.map(({ from }) => from), '^src/cli/', '^src/index\\.ts$'],
    },
    to: {},
  },
  {
    name: 'node-only-at-the-edge',
    comment: 'The same code runs in a browser tab: only the command line and the node:crypto provider may need Node.',
    from: { path: '^src/', pathNot: ['^src/cli/', '^src/crypto/'] },
    to: { dependencyTypes: ['core'] },
  },
  {
    name: 'packages-where-they-belong',
    comment:
      'commander belongs to the command line and @noble to crypto, so that the trusted base has no foreign code of its own.',
    from: { path: '^src/', pathNot: ['^src/cli/', '^src/crypto/'] },
    to: { path: 'node_modules' },
  },
  {
    name: 'no-development-package',
    comment: 'An installed package has no development dependencies.',
    from: { path: '^src/' },
    to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
  },
  {
    name: 'src-stays-in-src',
    comment: 'Only src/ is built and shipped.',
    from: { path: '^src/' },
    to: { path: '^(test|bench|bin|guests|dist)/' },
  },
  {
    name: 'imports-resolve',
    comment: 'An import that resolves to nothing has been checked by no rule.',
    from: {},
    to: { couldNotResolve: true },
  },
];

module.exports = {
  forbidden: [...ARROWS.map(arrow), ...WALLS.map((wall) => ({ severity: 'error', ...wall }))],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: path.join(__dirname, 'tsconfig.json') },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
