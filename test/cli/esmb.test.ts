import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-esmb-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);

/** Runs the built command, as a user does. */
function cloister(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/cloister.js', ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const SECRET = 'guests/powerpc/secret.elf';
const CMDLINE = 'svm=on';
const sha = (algorithm: string, bytes: Uint8Array | string) => createHash(algorithm).update(bytes).digest('hex');

writeFileSync(at('passphrase'), 'correct horse battery staple');
writeFileSync(at('initrd'), 'an initrd');
for (const name of ['machine', 'other', 'builder']) cloister('keys', 'rsa', at(name));
const created = cloister(
  ...['image', 'esmb', 'create', '--kernel', SECRET, '--initrd', at('initrd'), '--cmdline', CMDLINE],
  ...['--origin', at('builder.pub.pem'), '--recipient', at('other.pub.pem'), '--recipient', at('machine.pub.pem')],
  ...[
    '--file',
    `rootd=${at('passphrase')}`,
    '--comment',
    'for test',
    '--out',
    at('blob'),
    '--out-initrd',
    at('secure'),
  ],
);
const check = (...args: string[]) =>
  cloister('image', 'esmb', 'verify', at('secure'), '--key', at('machine.pem'), '--kernel', SECRET, ...args);
const run = (...args: string[]) =>
  cloister('run', '--protected', '--entry', 'fdt', '--memory', '16M', '--cmdline', CMDLINE, ...args, SECRET);

describe('cloister keys', () => {
  it('makes a private file for its owner alone, and a public one that OpenSSL would write', () => {
    expect(statSync(at('machine.pem')).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('machine.pub.pem'), 'latin1')).toMatch(/^-----BEGIN PUBLIC KEY-----\n/);
    expect(cloister('keys', 'public', at('machine.pem')).out).toBe(readFileSync(at('machine.pub.pem'), 'latin1'));
    expect(cloister('keys', 'development').out).toMatch(/^-----BEGIN PUBLIC KEY-----\n/);
  });

  it('does not write over a key', () => {
    const { status, err } = cloister('keys', 'rsa', at('machine'));
    expect([status, err]).toEqual([
      2,
      `cloister: ${at('machine.pem')}: it is there already (--force writes over it)\n`,
    ]);
  });
});

describe('cloister image esmb', () => {
  it('creates a blob, and the initrd with the blob before it', () => {
    expect(created).toMatchObject({ status: 0, out: '' });
    const initrd = readFileSync(at('secure'));
    expect(initrd.subarray(0, 6).toString()).toBe('070701');
    expect(initrd.subarray(-9).toString()).toBe('an initrd');
    expect(initrd.length % 512).toBe(9);
    expect(initrd.includes(readFileSync(at('blob')))).toBe(true);
    expect(initrd.includes('correct horse')).toBe(false);
  });

  it('shows the structure without a key, and the digests with any of the three', () => {
    const plain = JSON.parse(cloister('image', 'esmb', 'inspect', at('blob'), '--json').out);
    expect(plain.lockboxes).toEqual(
      ['builder', 'other', 'machine'].map((name, i) => ({
        name: i === 0 ? 'origin-lockbox' : `lockbox-${i}`,
        fingerprint: sha('sha256', readFileSync(at(`${name}.pub.pem`))),
        comment: 'for test',
      })),
    );
    expect(plain.digests).toBeUndefined();
    expect(plain.files).toEqual([{ name: 'rootd', bytes: 28, comment: '' }]);
    for (const name of ['builder', 'other', 'machine']) {
      const open = JSON.parse(
        cloister('image', 'esmb', 'inspect', at('secure'), '--json', '--key', at(`${name}.pem`)).out,
      );
      expect(open.initrdBytes).toBe(9);
      expect(open.digests.initrd).toBe(sha('sha512', 'an initrd'));
      expect(open.digests.bootargs).toBe(sha('sha512', CMDLINE));
      // power-pef.md 7.5
      expect(open.digests.rtas).toMatch(/^189698638580422ea58a0968ecce2436.*37f48$/);
    }
    expect(cloister('image', 'esmb', 'inspect', at('blob'), '--key', at('other.pem'), '--show', 'rootd').out).toBe(
      'correct horse battery staple',
    );
  });

  it('verifies, and says what differs', () => {
    expect(check('--cmdline', CMDLINE)).toEqual({
      status: 0,
      out: 'kernel: as the blob has it\ninitrd: as the blob has it\ncommand line: as the blob has it\nRTAS: as the blob has it\n',
      err: '',
    });
    const other = check('--cmdline', 'svm=off', '--initrd', at('passphrase'));
    expect(other.status).toBe(1);
    expect(other.out).toContain('initrd: differs\ncommand line: differs\nRTAS: as');
    const kernel = cloister(
      ...['image', 'esmb', 'verify', at('blob'), '--key', at('machine.pem'), '--kernel', 'guests/powerpc/hello.elf'],
    );
    expect(kernel.out).toMatch(/^kernel: differs: \d+ bytes instead of \d+\n/);
  });

  it.each([
    [
      ['create', '--kernel', SECRET, '--recipient', at('machine.pem'), '--out', at('x')],
      'machine.pem: it is a private key where a public key is needed',
    ],
    [['create', '--kernel', SECRET, '--recipient', at('initrd'), '--out', at('x')], 'initrd: no -----BEGIN'],
    [['create', '--kernel', SECRET, '--out', at('x')], '--recipient: at least one machine is needed'],
    [['create', '--kernel', SECRET, '--recipient', 'development'], '--out or --out-initrd: one of them is needed'],
    [['create', '--kernel', SECRET, '--recipient', 'development', '--out', at('blob')], 'blob: it is there already'],
    [
      ['create', '--kernel', SECRET, '--recipient', 'development', '--file', '1=x', '--out', at('x')],
      '--file: "1" is no name',
    ],
    [
      ['create', '--kernel', SECRET, '--recipient', 'development', '--comment', 'a\nb', '--out', at('x')],
      '--comment: ESM blob:',
    ],
    [['inspect', SECRET], 'secret.elf: ESM blob: header: device tree at 0x0: no magic'],
    [['inspect', at('nothing')], 'nothing: no such file'],
    [
      ['inspect', at('blob'), '--key', at('machine.pub.pem')],
      'machine.pub.pem: it is a public key where a private key is needed',
    ],
    [['inspect', at('blob'), '--show', 'rootd'], '--show: it needs --key'],
    [['dance'], "unknown command 'dance'"],
  ])('says in one line what is wrong: %j', (args, message) => {
    const { status, out, err } = cloister('image', 'esmb', ...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(/^cloister: .*\n$/);
    expect(err).toContain(message);
  });

  it.each([[[]], [['create']], [['inspect']], [['verify']]])('teaches: %j --help', (words) => {
    const { status, out } = cloister('image', 'esmb', ...words, '--help');
    expect(status).toBe(0);
    expect(out.length).toBeGreaterThan(300);
  });
});

describe('cloister run with a blob', () => {
  it('starts the VM that it proves, the lockbox not being the first (10.2 #75)', () => {
    const { status, out, err } = run('--uv-key', at('machine.pem'), '--initrd', at('secure'));
    expect([status, err]).toEqual([0, '']);
    expect(out).toMatch(/ran as a secure VM\n$/);
  });

  it('takes a blob in a place of its own', () => {
    const blob = at('bare');
    const made = ['image', 'esmb', 'create', '--kernel', SECRET, '--cmdline', CMDLINE, '--recipient', 'development'];
    cloister(...made, '--out', blob);
    expect(run('--esm-blob', blob).out).toMatch(/ran as a secure VM\n$/);
  });

  it.each([
    [
      'another key',
      ['--uv-key', at('builder.pem'), '--initrd', at('secure')],
      'none opens with the key of this machine',
    ],
    [
      'another command line',
      ['--uv-key', at('machine.pem'), '--initrd', at('secure'), '--cmdline', 'x'],
      'what the blob says: bootargs',
    ],
    ['no blob', ['--uv-key', at('machine.pem'), '--initrd', at('initrd')], 'no archive with opt/ibm/pef'],
    ['no blob, on purpose', ['--esm-blob', 'none', '--initrd', at('initrd')], 'no archive with opt/ibm/pef'],
  ])('%s: a normal VM, and why', (_, args, reason) => {
    const { status, out, err } = run(...args);
    expect(status).toBe(0);
    expect(out).toMatch(/ran as a normal VM\n$/);
    expect(err).toMatch(/^cloister: secret.elf: not secure: .*\n$/);
    expect(err).toContain(reason);
  });
});
