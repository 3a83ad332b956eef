import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../support/tools.ts';

const GUESTS = join(import.meta.dirname, '../../guests');
const guest = (name: string) => join(GUESTS, 'powerpc', `${name}.elf`);

/** The machine that docs and design name as the judge of normal Power guests. */
const PSERIES = [
  ...['-M', 'pseries,x-vof=on,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off'],
  ...['-cpu', 'power9', '-nodefaults', '-serial', 'stdio', '-display', 'none'],
];

/** What lets H_RANDOM answer. */
const RANDOM = ['-object', 'rng-builtin,id=rng', '-device', 'spapr-rng,rng=rng'];

/** Bare metal with IBM's own OPAL firmware (skiboot, which comes with QEMU); its BMC is what turns the machine off. */
const POWERNV = [
  ...['-M', 'powernv9', '-m', '1G', '-nodefaults', '-serial', 'stdio', '-display', 'none'],
  ...['-device', 'ipmi-bmc-sim,id=bmc', '-device', 'isa-ipmi-bt,bmc=bmc,irq=10'],
];

/** Boots a machine and gives its console once it has turned itself off. */
function boot(...args: string[]): string {
  const { error, status, stdout, stderr } = spawnSync('qemu-system-ppc64', args, {
    encoding: 'utf8',
    input: '',
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  if (error) throw new Error(`QEMU: ${error.message}; console so far:\n${stdout}`);
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.replaceAll('\r', '');
}

/** What the payload printed. The firmware's log lines begin with a time in brackets, and end with the start of it. */
function bootPowernv(hypervisor: string, initrd: string): string {
  const console = boot(...POWERNV, '-kernel', hypervisor, '-initrd', initrd);
  const [, payload] = console.split(/^\[.*INIT: Starting kernel at .*\n/m);
  return (payload ?? '').replaceAll(/^\[.*\n/gm, '');
}

const HELLO = 'hello from ppc64le\n';

const SECRET = (made: string) =>
  [
    'normal: asking for secure mode',
    'no secure mode here, staying normal',
    made,
    'mixed 16 of 64 rounds',
    'mixed 32 of 64 rounds',
    'mixed 48 of 64 rounds',
    'mixed 64 of 64 rounds',
    'secret intact',
    'ran as a normal VM',
    '',
  ].join('\n');

describe.skipIf(!requireTool('qemu-system-ppc64').available)('our Power guests on QEMU', () => {
  test('hello prints its line and powers off', () => {
    expect(boot(...PSERIES, '-kernel', guest('hello'))).toBe(HELLO);
  });

  test('secret runs as a normal VM, with random numbers of the hypervisor', () => {
    expect(boot(...PSERIES, ...RANDOM, '-kernel', guest('secret'))).toBe(SECRET('made a secret of 32 bytes'));
  });

  test('secret goes on where the hypervisor has no random numbers', () => {
    expect(boot(...PSERIES, '-kernel', guest('secret'))).toBe(SECRET('made a secret of 32 bytes, from the clock'));
  });

  test.each([
    ['hello', HELLO],
    ['secret', SECRET('made a secret of 32 bytes')],
  ])('the machine-code hypervisor runs %s on POWER9 bare metal below OPAL', (name, expected) => {
    expect(bootPowernv(guest('hypervisor'), guest(name))).toBe(expected);
  });

  test('the machine-code hypervisor refuses a guest that is no ELF file', () => {
    expect(bootPowernv(guest('hypervisor'), join(GUESTS, 'build.sh'))).toMatch(
      /^hypervisor: no ELF64 file for the guest at 0x[0-9a-f]{16}\n$/,
    );
  });
});

const cross = requireTool('powerpc64le-linux-gnu-gcc').available && requireTool('dtc').available;

describe.skipIf(!cross)('guests/build.sh --check', () => {
  test('finds a single changed bit, and names the file', () => {
    const copy = mkdtempSync(join(tmpdir(), 'cloister-guests-'));
    try {
      cpSync(GUESTS, copy, { recursive: true });
      const check = () => spawnSync('bash', [join(copy, 'build.sh'), '--check'], { encoding: 'utf8' });
      const clean = check();
      expect(clean.stderr).toBe('');
      expect(clean.status).toBe(0);

      const elf = join(copy, 'powerpc/secret.elf');
      const bytes = readFileSync(elf);
      bytes.writeUInt8(bytes.readUInt8(0x200) ^ 1, 0x200);
      writeFileSync(elf, bytes);
      const changed = check();
      expect(changed.status).toBe(1);
      expect(changed.stderr).toBe('DIFFERENT: guests/powerpc/secret.elf is not what its sources build\n');
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});
