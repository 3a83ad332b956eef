import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { kernelBytes } from '../../src/image/kernel-bytes.ts';
import { requireTool } from '../support/tools.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-esm-oracle-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);
const GUESTS = join(import.meta.dirname, '../../guests/powerpc');
const SECRET = join(GUESTS, 'secret.elf');
const OBJCOPY = 'powerpc64le-linux-gnu-objcopy';

function tool(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}
const judge = (...args: string[]) => tool('python3', join(import.meta.dirname, 'esm_blob.py'), ...args);
const cloister = (...args: string[]) => tool(process.execPath, 'bin/cloister.js', ...args);
const sha512 = (bytes: Uint8Array | string) => createHash('sha512').update(bytes).digest('hex');
const flat = (elf: string) => {
  tool(OBJCOPY, '-O', 'binary', '-S', elf, at('flat'));
  return readFileSync(at('flat'));
};

const python = requireTool('python3-cryptography').available && requireTool('dtc').available;
const objcopy = requireTool(OBJCOPY).available;

describe.skipIf(!objcopy)('the bytes of a kernel', () => {
  test.each([
    'hello',
    'secret',
    'timer',
    'secret_shared',
    'hypervisor',
    'kernels/sha256',
  ])('of %s are what objcopy makes of it', (name) => {
    const file = join(GUESTS, `${name}.elf`);
    expect(Buffer.from(kernelBytes(new Uint8Array(readFileSync(file)), file)).equals(flat(file))).toBe(true);
  });
});

describe.skipIf(!python || !objcopy)('ESM blobs, with Python as the judge', () => {
  writeFileSync(at('initrd'), 'an initrd\n'.repeat(100));
  const files = { rootd: 'correct horse battery staple', crypttab: 'root /dev/vda\n' };
  for (const [name, contents] of Object.entries(files)) writeFileSync(at(name), contents);

  test('the judge knows the answer of power-pef.md 7.3', () => {
    expect(judge('vector')).toBe('0f09cc1a56c86a7bcbb2d1b77188b74e872805edb1548954122ad5\n');
  });

  test('opens our blob with each key, and finds the digests that hashlib and objcopy make', () => {
    for (const name of ['machine', 'builder']) cloister('keys', 'rsa', at(name));
    cloister(
      ...['image', 'esmb', 'create', '--kernel', SECRET, '--initrd', at('initrd'), '--cmdline', 'svm=on quiet'],
      ...['--origin', at('builder.pub.pem'), '--recipient', at('machine.pub.pem')],
      ...Object.keys(files).flatMap((name) => ['--file', at(name)]),
      ...['--out', at('ours')],
    );
    for (const [name, lockbox] of [
      ['builder', 'origin-lockbox'],
      ['machine', 'lockbox-1'],
    ] as const) {
      const found = JSON.parse(judge('open', at('ours'), at(`${name}.pem`)));
      expect(found.lockbox).toBe(lockbox);
      expect(found.digests).toEqual({
        // power-pef.md 7.5
        rtas: '189698638580422ea58a0968ecce2436daeb2c91a339c14b0ab2bc623c1649fe274074a4a92679dc61e5528d68778ba3c82f1b1f7e9a5958238b80497fc37f48',
        kernel: sha512(flat(SECRET)),
        initrd: sha512(readFileSync(at('initrd'))),
        bootargs: sha512('svm=on quiet'),
      });
      expect(found['kernel-size']).toBe(flat(SECRET).length);
      expect(
        Object.fromEntries(
          Object.entries(found.files).map(([n, hex]) => [n, Buffer.from(hex as string, 'hex').toString()]),
        ),
      ).toEqual(files);
    }
  });

  test('makes blobs that we show, verify and start, for the second of two machines', () => {
    for (const name of ['m1', 'm2', 'owner']) {
      tool('openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', at(`${name}.pem`));
      tool('openssl', 'rsa', '-in', at(`${name}.pem`), '-pubout', '-out', at(`${name}.pub`));
    }
    writeFileSync(at('kernel'), flat(SECRET));
    const spec = {
      ...{ kernel: at('kernel'), initrd: at('initrd'), cmdline: 'svm=on', origin: at('owner.pub'), files },
      ...{ recipients: [at('m1.pub'), at('m2.pub')], out: at('theirs'), 'out-initrd': at('theirs.initrd') },
    };
    writeFileSync(at('spec'), JSON.stringify(spec));
    judge('make', at('spec'));
    const shown = JSON.parse(cloister('image', 'esmb', 'inspect', at('theirs'), '--key', at('m2.pem'), '--json'));
    expect(shown.lockboxes.map(({ name }: { name: string }) => name)).toEqual([
      'origin-lockbox',
      'lockbox-1',
      'lockbox-2',
    ]);
    expect(shown.digests.kernel).toBe(sha512(flat(SECRET)));
    expect(cloister('image', 'esmb', 'inspect', at('theirs'), '--key', at('m1.pem'), '--show', 'rootd')).toBe(
      files.rootd,
    );
    const verify = ['image', 'esmb', 'verify', at('theirs.initrd'), '--key', at('owner.pem'), '--kernel', SECRET];
    expect(cloister(...verify, '--cmdline', 'svm=on')).not.toContain('differs');
    const run = ['run', '--protected', '--entry', 'fdt', '--memory', '16M', '--uv-key', at('m2.pem')];
    expect(cloister(...run, '--initrd', at('theirs.initrd'), '--cmdline', 'svm=on', SECRET)).toMatch(
      /ran as a secure VM\n$/,
    );
  });

  test('a pass phrase that Python put into the blob opens a disk that OpenSSL encrypted', () => {
    const guest = join(GUESTS, 'passphrase.elf');
    tool('openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', at('host.pem'));
    tool('openssl', 'rsa', '-in', at('host.pem'), '-pubout', '-out', at('host.pub'));
    writeFileSync(at('kernel'), flat(guest));
    const spec = {
      ...{ kernel: at('kernel'), initrd: at('initrd'), cmdline: '300', origin: at('host.pub'), files },
      ...{ recipients: [at('host.pub')], out: at('blob'), 'out-initrd': at('blob.initrd') },
    };
    writeFileSync(at('spec'), JSON.stringify(spec));
    judge('make', at('spec'));
    // 8 sectors, with OpenSSL's header and the digest before what they hold.
    const contents = randomBytes(8 * 512 - 16 - 32);
    writeFileSync(at('plain'), Buffer.concat([createHash('sha256').update(contents).digest(), contents]));
    const enc = ['enc', '-chacha20', '-pbkdf2', '-iter', '300', '-pass', `file:${at('rootd')}`];
    tool('openssl', ...enc, '-in', at('plain'), '-out', at('disk'));
    const run = ['run', '--protected', '--memory', '16M', '--uv-key', at('host.pem'), '--disk', at('disk')];
    const out = cloister(...run, '--initrd', at('blob.initrd'), '--cmdline', '300', guest);
    expect(out).toMatch(/^a pass phrase of 28 bytes\nnobody can read it again\nproof [0-9a-f]{64}\n/);
    expect(out.endsWith(`it opens the disk: ${contents.length} bytes\n`)).toBe(true);
  });
});
