import { basename } from 'node:path';
import { Command } from 'commander';
import { readP521PrivateKey } from '../crypto/p521-key.ts';
import { readRsaPrivateKey } from '../crypto/rsa-key.ts';
import type { Arch, MachineOptions, VmOptions } from '../index.ts';
import { PAGE_CIPHERS } from '../powerpc/ultravisor/page-cipher.ts';
import { UsageError } from './exit-status.ts';
import { readImage, requireDistinct } from './files.ts';
import {
  armHypervisorOptions,
  hypervisorHelp,
  hypervisorOptions,
  parseArmHypervisor,
  parseHypervisor,
} from './hypervisor-option.ts';
import { readKeyFile } from './key-files.ts';
import { parseChoice, parseCount, parseSeed, parseSize } from './values.ts';

/** The options of `cloister run` as they were typed. */
interface RunOptions {
  readonly arch: string;
  readonly protected?: boolean;
  readonly role: string;
  readonly memory: string;
  readonly secureMemory: string;
  readonly cpus: string;
  readonly cipher: string;
  readonly uvKey?: string;
  readonly esmScope: string;
  readonly esmBlob: string;
  readonly securePfns: string;
  readonly pkvmProfile?: string;
  readonly cmdline: string;
  readonly initrd?: string;
  readonly disk?: readonly string[];
  readonly entry: string;
  readonly maxInstructions?: string;
  readonly seed: string;
  readonly interpret?: boolean;
  readonly hypervisor: string;
  readonly trace?: string;
  readonly report?: string;
  readonly progress: boolean;
}

/** What `cloister run` is to do: checked, with all files read. */
export interface RunPlan {
  readonly machine: MachineOptions;
  /** In the order of the images. */
  readonly vms: readonly VmOptions[];
  /** The file that is a VM's disk, in the order of the images; VMs behind the last have none. */
  readonly disks: readonly string[];
  /** Clock value at which the run ends. */
  readonly limit: number | null;
  readonly trace: string | null;
  readonly report: string | null;
  /** Tell a terminal on standard error how the run goes. */
  readonly progress: boolean;
  /** Said on standard error before the run, one line each. */
  readonly remarks: readonly string[];
}

const MAX_CPUS = 256;

const HELP = `
What is run:
  A guest is an ELF image for ppc64, placed and entered as QEMU's "-M pseries,x-vof=on -kernel" does. With --protected
  the machine offers IBM's Protected Execution Facility, and a guest that asks (UV_ESM) becomes a secure VM.
  With --arch arm64 it is an ELF file or a Linux Image for AArch64, placed and entered at EL1 as QEMU's "-M virt,gic-version=3
  -kernel" does. With --protected it is a protected VM of pKVM: a hyp at EL2 owns its memory and registers, and KVM runs it.
  With --pkvm-profile or --hypervisor alone it is a plain VM of the same KVM; with none of them it has a machine without EL2.
  With --role host it is KVM's side in machine code: entered at EL1 below the hyp with a device tree in X0, PSCI by SMC.
  With --arch s390 it is an ELF file or a raw kernel for z/Architecture, placed and entered as QEMU's "-M s390-ccw-virtio -kernel"
  does; it has SCLP consoles, and with --disk a virtio disk on the channel subsystem. With --protected, or with several images, it
  runs under SIE, and with --protected there is an Ultravisor: a Secure Execution image ("cloister image se") asks it by
  DIAGNOSE 0x308 to become a protected VM; everything else stays normal.
  With --role host the image is a hypervisor of your own, entered at HV=1 with a device tree in R3 and OPAL in R8, R9.

Console:
  Standard output is the guest's console, byte for byte; everything else goes to standard error.
  Standard input is its keyboard: what a file holds is there from the start, so that two runs are the same; a pipe or a
  terminal is read as it comes. The end of input is nothing that the guest is told.
  On a terminal, keys go to the guest as they are, Ctrl-C too. Ctrl-A begins a key of ours:
    Ctrl-A x  end the run          Ctrl-A n  type to the next VM
    Ctrl-A h  list these keys      Ctrl-A Ctrl-A  send Ctrl-A

Disk:
  --disk gives a guest a virtio block device (PCI on Power, MMIO on arm64, both without legacy interface). The file is written
  as the guest writes: a request that was answered is in the file whatever comes after it. A flush of the guest, and the end of
  the run, has the system bring the file to the medium.

Several images start several VMs on one machine. Each line of their consoles begins with the name of the VM; what is
typed goes to the first.

Verified start:
  A VM becomes secure only with an ESM blob that proves its kernel, initrd, command line and RTAS, made for the key of
  this machine ("cloister help image esmb"); the blob comes before the initrd, or with --esm-blob in a place of its own.
  With --arch s390 the image itself is the proof, made for the host key of this machine ("cloister help image se").
  A machine without --uv-key has the development key, WHOSE PRIVATE HALF IS PUBLIC: whoever has Cloister can read and make
  blobs and images for it, so it proves nothing and keeps nothing secret. With --esm-blob auto a guest on such a machine that brings no
  blob gets one that proves what this command line names. --esm-blob none does without.

Hypervisors, for --hypervisor:
${hypervisorHelp()}
  An attack begins at the third line that the guest prints; "cloister attack" tries all of them. A curious hypervisor compares
  all of memory at each exit, so it is slow.

Exit status: 0 the guest powered off or stopped normally, 1 it crashed or was terminated, 2 bad usage or a bad image,
3 the instruction limit was reached, 70 a bug of ours; 128 + n where signal n ended the run. Trace and report are
complete in all of these cases but 2 and 70.

Examples:
  cloister run guests/powerpc/hello.elf
  cloister run --protected --entry fdt --report report.json guests/powerpc/secret.elf
  cloister run --disk disk.img guests/powerpc/disk.elf
  cloister run --cpus 4 guests/powerpc/smp.elf
  cloister run --arch s390 guests/s390/hello.elf
  cloister image se create -k development --no-verify -i guests/s390/secret.elf -o secret.img
  cloister run --arch s390 --protected secret.img
  cloister run --arch arm64 guests/arm64/hello.elf
  cloister run --arch arm64 --protected --cpus 4 guests/arm64/smp.elf
  cloister run --protected --role host --initrd guests/powerpc/secret.elf guests/powerpc/hypervisor.elf`;

/**
 * The command `run` with its options.
 * @param act gets the plan once everything is checked
 */
export function runCommand(act: (plan: RunPlan) => void | Promise<void>): Command {
  const command = new Command('run')
    .description('run guests, or a hypervisor of your own, on an emulated machine')
    .argument('<image...>', 'ELF images; several start several VMs')
    .option('--arch <name>', 'architecture: powerpc, s390 or arm64', 'powerpc')
    .option('--protected', 'offer the protection facility; a guest that never asks stays normal')
    .option('--role <role>', 'guest, or host: the image is the hypervisor, in place of ours', 'guest')
    .option('--memory <size>', 'memory of each guest (of the host, with --role host), a multiple of 64K', '64M')
    .option('--secure-memory <size>', 'secure memory of the machine, with --protected', '32M')
    .option('--cipher <name>', 'how pages leave secure memory, with --protected: iapm or gcm', 'iapm')
    .option(
      '--uv-key <pem>',
      'private key of the machine, for which ESM blobs (RSA) or images (s390: P-521) are made; else one that everybody has',
    )
    .option('--esm-blob <file>', 'ESM blob for the device tree; or auto, or none (see below)', 'auto')
    .option('--esm-scope <what>', 'what a VM takes along when it becomes secure: all, or what is verified', 'all')
    .option(
      '--secure-pfns <n>',
      'secure pages that our hypervisor has names for: guests (enough for all), memory (as Linux), or a number',
      'guests',
    )
    .option('--pkvm-profile <p>', 'form of pKVM with --arch arm64: I (registers too), M (memory, as upstream), or L')
    .option('--cpus <n>', 'virtual CPUs of each guest', '1')
    .option('--cmdline <string>', 'kernel command line', '')
    .option('--initrd <file>', 'initial RAM disk; with --role host, what the hypervisor is to run')
    .option('--disk <file>', 'raw file as a virtio disk; the second one is for the second image', collect)
    .option('--entry <kind>', 'start of a guest: of (Open Firmware, as QEMU) or fdt (flat device tree in R3)', 'of')
    .option('--max-instructions <n>', 'stop after this many instructions, exit status 3')
    .option('--seed <n>', 'seed of all randomness, keys too: a number, or "random"', '1')
    .option('--interpret', 'do not translate hot code')
    .option('--hypervisor <name>', 'honest, curious, or one that attacks its first guest (list below)', 'honest')
    .option('--trace <file>', 'write all events, one JSON object a line')
    .option('--report <file>', 'write a report of the run as JSON')
    .option('--no-progress', 'do not show on a terminal how the run goes')
    .addHelpText('after', HELP);
  return command.action((images: string[], options: RunOptions) =>
    act(planRun(images, options, (name) => command.getOptionValueSource(name) === 'cli')),
  );
}

function collect(value: string, others: readonly string[] = []): readonly string[] {
  return [...others, value];
}

const ESM_BLOB_WORDS = ['auto', 'none'] as const;

const PKVM_PROFILES = ['I', 'M', 'L'] as const;

const SECURE_PFNS = ['guests', 'memory'] as const;
const MOST_SECURE_PFNS = 65536;

/** @throws UsageError */
function parseSecurePfns(text: string): number {
  if (!/^\d/.test(text)) throw new UsageError(`--secure-pfns: "${text}" is none of guests, memory, or a number`);
  return parseCount('--secure-pfns', text, MOST_SECURE_PFNS);
}

/** The key as it stands in its file, which has been looked at. @throws UsageError */
function readUvKey(file: string, arch: Arch): string {
  const { bytes } = arch === 's390' ? readKeyFile(file, readP521PrivateKey) : readKeyFile(file, readRsaPrivateKey);
  return new TextDecoder('latin1').decode(bytes);
}

/** @throws UsageError for an option or a file that cannot be had */
function planRun(images: readonly string[], options: RunOptions, given: (name: string) => boolean): RunPlan {
  const role = parseChoice('--role', options.role, ['guest', 'host']);
  if (role === 'host' && images.length > 1) throw new UsageError('--role host: there can be one hypervisor only');
  const arch = parseChoice('--arch', options.arch, ['powerpc', 's390', 'arm64']);
  const hypervisor = arch === 'arm64' ? null : parseHypervisor('--hypervisor', options.hypervisor);
  const armHost = arch === 'arm64' ? parseArmHypervisor('--hypervisor', options.hypervisor) : null;
  const hostile = [hypervisor, armHost].find((one) => one !== null && one !== 'curious');
  if (role === 'host' && (hypervisor ?? armHost) !== null) {
    throw new UsageError('--hypervisor: with --role host the image is the hypervisor');
  }
  if (typeof hostile === 'object' && hostile?.accomplice === true && images.length < 2) {
    throw new UsageError(`--hypervisor: ${hostile.name} needs two guests`);
  }
  const seed = parseSeed('--seed', options.seed);
  const cpus = parseCount('--cpus', options.cpus, MAX_CPUS);
  const machine: MachineOptions = {
    ...hypervisorOptions(hypervisor, seed, cpus),
    ...armHypervisorOptions(armHost, seed),
    arch,
    protected: options.protected ?? false,
    secureMemory: parseSize('--secure-memory', options.secureMemory),
    cipher: parseChoice('--cipher', options.cipher, PAGE_CIPHERS),
    esmScope: parseChoice('--esm-scope', options.esmScope, ['all', 'verified']),
    securePfns: SECURE_PFNS.find((word) => word === options.securePfns) ?? parseSecurePfns(options.securePfns),
    ...(options.pkvmProfile !== undefined && {
      pkvmProfile: parseChoice('--pkvm-profile', options.pkvmProfile, PKVM_PROFILES),
    }),
    ...(options.uvKey !== undefined && { uvKey: readUvKey(options.uvKey, arch) }),
    role,
    interpret: options.interpret ?? false,
    seed,
  };
  const shared = {
    cmdline: options.cmdline,
    memory: parseSize('--memory', options.memory),
    cpus,
    entry: parseChoice('--entry', options.entry, ['of', 'fdt']),
    esmBlob: ESM_BLOB_WORDS.find((word) => word === options.esmBlob) ?? readImage(options.esmBlob),
  };
  const most = options.maxInstructions;
  const limit = most === undefined ? null : parseCount('--max-instructions', most, Number.MAX_SAFE_INTEGER);
  const initrd = options.initrd === undefined ? undefined : readImage(options.initrd);
  const vms = images.map((file, i) => ({
    name: images.length === 1 ? basename(file) : `${basename(file, '.elf')}.${i}`,
    image: readImage(file),
    ...(initrd && { initrd }),
    ...shared,
  }));
  const disks = options.disk ?? [];
  if (role === 'host' && disks.length > 0) throw new UsageError('--disk: a hypervisor has no disk');
  if (disks.length > images.length) throw new UsageError(`--disk: ${disks[images.length]}: there is no VM left for it`);
  checkOutputs(images, options);
  return {
    machine,
    vms,
    disks,
    limit,
    trace: options.trace ?? null,
    report: options.report ?? null,
    progress: options.progress,
    remarks: remarksOn(options, machine, given),
  };
}

/** A run does not write over what it reads, nor one output over the other. */
function checkOutputs(images: readonly string[], { initrd, disk = [], trace, report }: RunOptions): void {
  const read = initrd === undefined ? images : [...images, initrd];
  for (const [i, file] of disk.entries()) requireDistinct('--disk', file, [...read, ...disk.slice(0, i)]);
  const inputs = [...read, ...disk];
  if (trace !== undefined) requireDistinct('--trace', trace, inputs);
  if (report !== undefined) requireDistinct('--report', report, trace === undefined ? inputs : [...inputs, trace]);
}

/** Said whenever it is the development key that a guest becomes secure with, unless a blob was named. */
const PUBLIC_KEY =
  'no --uv-key: ESM blobs are made with the development key, which is public: it proves and hides nothing';
const PUBLIC_HOST_KEY =
  'no --uv-key: the machine has the development host key, which is public: images for it prove and hide nothing';

/** Options that are about Power's protection only. */
const POWER_ONLY = ['secureMemory', 'cipher', 'esmBlob', 'esmScope', 'securePfns'] as const;

function remarksOn(
  { seed, esmBlob }: RunOptions,
  machine: MachineOptions,
  given: (name: string) => boolean,
): readonly string[] {
  const remarks: string[] = [];
  if (given('secureMemory') && !machine.protected) remarks.push('--secure-memory does nothing without --protected');
  if (given('cipher') && !machine.protected) remarks.push('--cipher does nothing without --protected');
  const optionOf = (name: string): string => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  for (const name of ['uvKey', 'esmBlob', 'esmScope', 'securePfns'] as const) {
    if (given(name) && !machine.protected) remarks.push(`${optionOf(name)} does nothing without --protected`);
  }
  for (const name of POWER_ONLY) {
    if (given(name) && machine.protected && machine.arch !== 'powerpc') {
      remarks.push(`${optionOf(name)} does nothing with --arch ${machine.arch}`);
    }
  }
  if (given('pkvmProfile') && machine.arch !== 'arm64')
    remarks.push('--pkvm-profile does nothing without --arch arm64');
  if (given('entry') && machine.role === 'host') remarks.push('--entry does nothing with --role host');
  if (machine.arch === 'powerpc' && machine.protected && machine.uvKey === undefined && esmBlob === 'auto') {
    remarks.push(PUBLIC_KEY);
  }
  if (machine.arch === 's390' && machine.protected && machine.uvKey === undefined) remarks.push(PUBLIC_HOST_KEY);
  if (seed === 'random') remarks.push(`--seed ${machine.seed}`);
  return remarks;
}
