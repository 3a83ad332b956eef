import { spawnSync } from 'node:child_process';
import { createHash, createPrivateKey, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/cli/exit-status.ts';
import { hostKeysOf } from '../../src/cli/se-host-keys.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import {
  readP521PrivateKey,
  readP521PublicKey,
  writeP521PrivateKey,
  writeP521PublicKey,
} from '../../src/crypto/p521-key.ts';
import { SE_STAGE3B_ARGUMENTS } from '../../src/image/se/format.ts';
import type { SeSecrets } from '../../src/image/se/header.ts';
import { SeHost } from '../../src/image/se/host.ts';
import { openSeImage, readSeImage } from '../../src/image/se/image-reader.ts';
import { requireTool } from '../support/tools.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-se-oracle-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);
const GUESTS = join(import.meta.dirname, '../../guests/s390');
const HELLO = join(GUESTS, 'hello.elf');

function run(command: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  return { status, stdout, stderr };
}
function tool(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = run(command, ...args);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout;
}
const python = (script: string, ...args: string[]) => tool('python3', join(import.meta.dirname, script), ...args);
const judge = (...args: string[]) => python('se_judge.py', ...args);
const se = (...args: string[]) => run(process.execPath, 'bin/cloister.js', 'image', 'se', ...args);
function cloister(...args: string[]): string {
  const { status, stdout, stderr } = se(...args);
  if (status !== 0) throw new Error(`image se ${args.join(' ')}: ${stderr}`);
  return stdout;
}
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const hasPython = requireTool('python3-cryptography').available;
const openssl = requireTool('openssl').available;
const objcopy = requireTool('s390x-linux-gnu-objcopy').available;
const as = requireTool('s390x-linux-gnu-as').available;
const qemu = requireTool('qemu-system-s390x').available;

/** A kernel as `pvimg` wants it, and what goes with it. */
function components(): void {
  const kernel = randomBytes(0x12345);
  kernel.write('S390EP', 0x10008);
  kernel.writeBigUInt64BE(4096n, 0x10430);
  writeFileSync(at('kernel'), kernel);
  writeFileSync(at('ramdisk'), randomBytes(9000));
  writeFileSync(at('parmfile'), 'root=/dev/vda quiet');
}

describe.skipIf(!hasPython || !openssl)('Secure Execution images, with Python as the judge', () => {
  beforeAll(() => {
    components();
    for (const name of ['one', 'two']) {
      tool('openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521', '-out', at(`${name}.pem`));
      tool('openssl', 'pkey', '-in', at(`${name}.pem`), '-pubout', '-out', at(`${name}.pub`));
    }
  });
  const hosts = ['-k', at('one.pub'), '-k', at('two.pub'), '--no-verify'];

  test('opens ours with the key of the second machine, and finds every part of it', () => {
    writeFileSync(at('cck'), randomBytes(32));
    writeFileSync(at('image-key'), randomBytes(64));
    cloister(
      ...['create', ...hosts, '-i', at('kernel'), '-r', at('ramdisk'), '-p', at('parmfile'), '-o', at('ours')],
      ...['--cck', at('cck'), '--image-key', at('image-key'), '--enable-dump', '--enable-cck-extension-secret'],
    );
    const found = JSON.parse(judge('open', at('ours'), at('two.pem')));
    expect(found).toMatchObject({
      ...{ hosts: 2, cck: readFileSync(at('cck')).toString('hex'), 'kernel-psw': [0x180000000, 0x10000] },
      ...{ 'image-key': readFileSync(at('image-key')).toString('hex'), pcf: 0x200000e0 },
    });
    expect(BigInt(found.scf)).toBe(1n << 62n);
    expect(found.components).toEqual({
      kernel: sha256(readFileSync(at('kernel'))),
      cmdline: sha256(Buffer.from('root=/dev/vda quiet\0')),
      ramdisk: sha256(readFileSync(at('ramdisk'))),
    });
  });

  test('opens one in the clear', () => {
    cloister(
      'create',
      ...hosts,
      '-i',
      at('kernel'),
      '-o',
      at('clear'),
      '--disable-image-encryption',
      '--disable-pckmo',
    );
    const found = JSON.parse(judge('open', at('clear'), at('one.pem')));
    expect([found.pcf, found.components]).toEqual([0x10000000, { kernel: sha256(readFileSync(at('kernel'))) }]);
  });

  test('makes one that we show, verify and decrypt', () => {
    for (const [name, length] of [
      ['stage3a', 0x1900],
      ['stage3b', 900],
    ] as const) {
      writeFileSync(at(name), randomBytes(length));
    }
    const spec = {
      ...{ kernel: at('kernel'), ramdisk: at('ramdisk'), cmdline: 'root=/dev/vda quiet', out: at('theirs') },
      ...{ stage3a: at('stage3a'), stage3b: at('stage3b'), hosts: [at('one.pub'), at('two.pub')] },
    };
    writeFileSync(at('spec'), JSON.stringify(spec));
    judge('make', at('spec'));
    const shown = JSON.parse(cloister('inspect', at('theirs'), '--host-key', at('two.pem'), '--json'));
    expect(shown.header.address).toBe('0x15000');
    expect(shown.components.map(({ kind }: { kind: string }) => kind)).toEqual([
      'kernel',
      'ramdisk',
      'cmdline',
      'stage3b',
    ]);
    const files = ['-i', at('kernel'), '-r', at('ramdisk'), '-p', at('parmfile')];
    expect(cloister('verify', at('theirs'), '--host-key', at('one.pem'), ...files)).not.toMatch(/differs|not as/);
    cloister(
      'decrypt',
      at('theirs'),
      '--host-key',
      at('two.pem'),
      '-r',
      at('ramdisk.out'),
      '--stage3b',
      at('stage3b.out'),
    );
    expect(readFileSync(at('ramdisk.out')).equals(readFileSync(at('ramdisk')))).toBe(true);
    const loader = readFileSync(at('stage3b')).subarray(0, -SE_STAGE3B_ARGUMENTS.bytes);
    expect(readFileSync(at('stage3b.out')).subarray(0, loader.length).equals(loader)).toBe(true);
  });

  test('opens our requests', () => {
    const about = (file: string) => JSON.parse(judge('request', at(file), at('two.pem')));
    cloister(
      'attest',
      ...hosts,
      '-o',
      at('att'),
      '-a',
      at('arpk'),
      '--add-data',
      'phkh-img',
      '--add-data',
      'firmware-state',
    );
    const attestation = about('att');
    expect(attestation).toMatchObject({
      kind: 'attestation',
      algorithm: 1,
      key: readFileSync(at('arpk')).toString('hex'),
    });
    // Bits 1, 2 and 5.
    expect(BigInt(attestation.flags)).toBe((1n << 62n) | (1n << 61n) | (1n << 58n));
    expect(attestation.clear).toHaveLength(2 * 80);

    writeFileSync(at('plain'), 'a secret text');
    writeFileSync(at('cuid'), randomBytes(16));
    writeFileSync(at('user'), 'for you');
    cloister(
      ...['add-secret', ...hosts, '--image', at('ours'), '-o', at('add'), '--type', 'plain', '--name', 'my secret'],
      ...[
        '--secret',
        at('plain'),
        '--cck',
        at('cck'),
        '--cuid',
        at('cuid'),
        '--user-data',
        at('user'),
        '--disable-dump',
      ],
    );
    const { header } = JSON.parse(cloister('inspect', at('ours'), '--json'));
    const added = about('add');
    expect(BigInt(added.flags)).toBe(1n << 63n);
    expect(added).toMatchObject({
      ...{ kind: 'add-secret', 'user-kind': 1, cuid: readFileSync(at('cuid')).toString('hex') },
      tags: header.pageListDigest + header.addressListDigest + header.tweakListDigest + header.tag,
      secret: `0000000300000010${'00'.repeat(8)}${sha256(Buffer.from('my secret'))}`,
    });
    expect(added.user.startsWith(Buffer.from('for you').toString('hex'))).toBe(true);
    expect(added.clear.slice(0, 32)).toBe(`000d${Buffer.from('a secret text').toString('hex')}00`);
  });
});

describe.skipIf(!openssl)('host keys, with OpenSSL as the judge', () => {
  const curve = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'];
  test('are read in each form that openssl writes, and written as it does', () => {
    tool('openssl', 'genpkey', ...curve, '-out', at('key.pem'));
    tool('openssl', 'ec', '-in', at('key.pem'), '-out', at('key.sec1'));
    tool('openssl', 'ec', '-in', at('key.pem'), '-pubout', '-out', at('key.pub'));
    const pem = readFileSync(at('key.pem'), 'utf8');
    const key = readP521PrivateKey(pem);
    const jwk = createPrivateKey(pem).export({ format: 'jwk' });
    expect(Buffer.from(key).toString('base64url')).toBe(jwk.d);
    expect(readP521PrivateKey(readFileSync(at('key.sec1'), 'utf8'))).toEqual(key);
    const point = readP521PublicKey(readFileSync(at('key.pub'), 'utf8'));
    expect(point).toEqual(nodeProvider.p521PublicKey(key));
    expect(writeP521PublicKey(point)).toBe(readFileSync(at('key.pub'), 'utf8'));
    expect(writeP521PrivateKey(nodeProvider, key)).toBe(pem);
    // `ecparam` puts the curve before the key.
    tool('openssl', 'ecparam', '-name', 'secp521r1', '-genkey', '-out', at('params.pem'));
    expect(readP521PrivateKey(readFileSync(at('params.pem'), 'utf8'))).toHaveLength(66);
  });

  test.each([
    ['P-384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], 'it is no key on the curve P-521'],
    ['RSA', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], 'it is no key on the curve P-521'],
    ['encrypted', [...curve, '-aes256', '-pass', 'pass:x'], 'encrypted with a pass phrase'],
  ])('are refused when they are of another kind: %s', (name, args, reason) => {
    tool('openssl', 'genpkey', ...args, '-out', at(`${name}.pem`));
    expect(() => readP521PrivateKey(readFileSync(at(`${name}.pem`), 'utf8'))).toThrow(reason);
  });
});

describe.skipIf(!hasPython)('host key documents, made by Python', () => {
  beforeAll(() => void python('se_certificates.py', scratch));
  const trust = (names: readonly string[], crls: readonly string[], certs: readonly string[], root = 'root.crt') =>
    hostKeysOf({
      ...{ hostKeyDocument: names.map(at), crl: crls.map(at), cert: certs.map(at) },
      ...{ rootCa: at(root), verify: true },
    });
  const CRLS = ['root.crl', 'inter.crl', 'sign.crl'];
  const CERTS = ['sign.crt', 'inter.crt'];

  test.each([
    [['host.crt'], CRLS, CERTS],
    [['host.der'], ['root.crl', 'inter.crl.der', 'sign.crl'], ['sign.crt', 'inter.der']],
    [['host.crt', 'host-armonk.crt'], CRLS, CERTS],
    [['host.crt'], ['root.crl', 'inter.crl', 'sign-armonk.crl'], ['sign-armonk.crt', 'inter.crt']],
    // A list that does not count takes nothing away.
    [['host.crt'], [...CRLS, 'sign-outdated.crl', 'sign-forged.crl'], CERTS],
  ])('are trusted: %j with %j and %j', (names, crls, certs) => {
    const key = readP521PrivateKey(readFileSync(at('host.key'), 'utf8'));
    expect(trust(names, crls, certs)).toEqual(names.map(() => nodeProvider.p521PublicKey(key)));
  });

  test.each([
    ['host-revoked.crt', CRLS, CERTS, 'it was revoked'],
    ['host-expired.crt', CRLS, CERTS, 'it was valid until'],
    ['host-early.crt', CRLS, CERTS, 'it is not valid before'],
    ['host-forged.crt', CRLS, CERTS, 'its signature does not verify'],
    ['host-akid.crt', CRLS, CERTS, 'its authority key identifier is not that of its issuer'],
    ['host-issuer.crt', CRLS, CERTS, 'it was not issued by the IBM Z signing key'],
    ['host-p384.crt', CRLS, CERTS, 'it is no key on the curve P-521'],
    ['host.crt', ['root.crl', 'inter.crl'], CERTS, 'no valid CRL of "International Business'],
    ['host.crt', ['root.crl', 'inter.crl', 'sign-outdated.crl'], CERTS, 'no valid CRL of "International'],
    ['host.crt', ['root.crl', 'inter.crl', 'sign-early.crl'], CERTS, 'no valid CRL of "International'],
    ['host.crt', ['root.crl', 'inter.crl', 'sign-forged.crl'], CERTS, 'no valid CRL of "International'],
    ['host.crt', ['root.crl', 'inter.crl', 'sign-other.crl'], CERTS, 'no valid CRL of "International'],
    ['host.crt', ['root.crl', 'sign.crl'], CERTS, 'the IBM Z signing key: no valid CRL of "Between"'],
    ['host.crt', ['inter.crl', 'sign.crl'], CERTS, 'its issuer "Between": no valid CRL of "Root"'],
    ['host.crt', ['root.crl', 'inter-revokes.crl', 'sign.crl'], CERTS, 'the IBM Z signing key: it was revoked'],
    ['host.crt', CRLS, ['inter.crt'], 'no certificate of an IBM Z signing key'],
    ['host.crt', CRLS, ['sign-no-ibm.crt', 'inter.crt'], 'no certificate of an IBM Z signing key'],
    [
      'host.crt',
      CRLS,
      ['sign.crt', 'sign-armonk.crt', 'inter.crt'],
      'more than one certificate of an IBM Z signing key',
    ],
    ['host.crt', CRLS, ['sign-forged.crt', 'inter.crt'], 'the IBM Z signing key: its signature does not verify'],
    ['host.crt', CRLS, ['sign-expired.crt', 'inter.crt'], 'the IBM Z signing key: it was valid until'],
    ['host.crt', CRLS, ['sign.crt'], 'its issuer "Between" is not among the certificates'],
    ['host.crt', CRLS, ['sign.crt', 'inter-no-ca.crt'], '"Between" is no certificate authority'],
    ['host.crt', CRLS, ['sign.crt', 'inter-no-sign.crt'], '"Between" may not sign certificates'],
    ['host.crt', CRLS, ['sign.crt', 'inter-expired.crt'], 'its issuer "Between": it was valid until'],
    ['host.key', CRLS, CERTS, 'a PRIVATE KEY is not a host key document'],
    ['one.pub', CRLS, CERTS, 'a PUBLIC KEY is not a host key document'],
  ])('are not trusted: %s with %j and %j', (name, crls, certs, reason) => {
    expect(() => trust([name], crls, certs)).toThrow(UsageError);
    expect(() => trust([name], crls, certs)).toThrow(reason);
  });

  test('need a root that somebody named: Node has not ours', () => {
    expect(() => trust(['host.crt'], CRLS, CERTS, 'host.crt')).toThrow(
      'its issuer "Root" is not among the certificates',
    );
    const nodes = { hostKeyDocument: [at('host.crt')], crl: CRLS.map(at), cert: CERTS.map(at), verify: true };
    expect(() => hostKeysOf(nodes)).toThrow('its issuer "Root" is not among the certificates');
  });

  test('make an image that their machine opens', () => {
    cloister(
      ...['create', '-i', HELLO, '-o', at('document.img'), '-k', at('host.crt'), '--root-ca', at('root.crt')],
      ...[...CERTS.flatMap((name) => ['-C', at(name)]), ...CRLS.flatMap((name) => ['--crl', at(name)])],
    );
    expect(JSON.parse(judge('open', at('document.img'), at('host.key'))).hosts).toBe(1);
  });
});

describe.skipIf(!qemu)('the boot loaders, on QEMU', () => {
  const start = (image: string, ...args: string[]) =>
    run(
      ...([
        'qemu-system-s390x',
        '-M',
        's390-ccw-virtio',
        '-m',
        '128',
        '-nographic',
        '-nodefaults',
        '-no-reboot',
      ] as const),
      ...['-chardev', 'stdio,id=c', '-device', 'sclpconsole,chardev=c', '-kernel', image, ...args],
    ).stdout.replaceAll('\r', '');

  /** What an Ultravisor leaves in memory: components in the clear at their places, and the PSW that the header names. */
  function unpacked(
    file: string,
    change: (image: Uint8Array, found: ReturnType<typeof readSeImage>) => void = () => {},
  ): string {
    const image = new Uint8Array(readFileSync(file));
    const found = readSeImage(image);
    const pem = tool(process.execPath, 'bin/cloister.js', 'keys', 'development', '--private', '--arch', 's390');
    const secrets = new SeHost(nodeProvider, readP521PrivateKey(pem)).openHeader(found.headerBytes) as SeSecrets;
    const { components: opened } = openSeImage(found, secrets, nodeProvider);
    for (const [i, { contents }] of opened.entries()) image.set(contents, Number(found.components[i].address));
    change(image, found);
    new DataView(image.buffer).setBigUint64(0, 0x0008000180000000n | secrets.pswAddress);
    writeFileSync(`${file}.plain`, image);
    return `${file}.plain`;
  }
  const create = (out: string, ...args: string[]) =>
    cloister('create', '-k', 'development', '--no-verify', '-o', at(out), '--overwrite', ...args);

  test('stage3a says that a machine without facility 161 cannot unpack', () => {
    create('plain.img', '-i', HELLO);
    expect(start(at('plain.img'))).toContain('this machine cannot unpack images (facility 161)\n');
  });

  test('stage3b starts a kernel that computes what it computes without', () => {
    const crc = join(GUESTS, 'kernels/crc.elf');
    create('crc.img', '-i', crc, '--cmdline', '2', '-r', HELLO);
    const direct = start(crc, '-append', '2');
    expect(direct).toMatch(/^start\n[0-9a-f]{16}\n/);
    expect(start(unpacked(at('crc.img')))).toBe(direct);
  });

  test.skipIf(!as || !objcopy)('stage3b tells it where its ramdisk is, and how long', () => {
    writeFileSync(
      at('ramdisk.S'),
      `	.globl _start
_start:	j begin
	.org 0x408
	.quad 0, 0
	.org 0x900
begin:	larl %r2, mask
	lgfi %r1, 0x00780005
	.insn rre, 0xb2200000, %r1, %r2
	brc 2, .-4
	larl %r2, message
	larl %r3, text
	lgfi %r13, 0x10000
	lg %r4, 0x408(%r13)
	lg %r5, 0x410(%r13)
	aghi %r5, -1
	larl %r6, copy
	ex %r5, 0(%r6)
	lgfi %r1, 0x00760005
	.insn rre, 0xb2200000, %r1, %r2
	brc 2, .-4
	larl %r1, off
	lpswe 0(%r1)
copy:	mvc 0(1,%r3), 0(%r4)
	.balign 8
off:	.quad 0x0002000180000000, 0xfff
	.org 0x1000
mask:	.short 28
	.byte 0, 0, 0, 0
	.short 0, 0, 4
	.long 0, 0x40, 0, 0
	.balign 8
message:	.short message_end - message
	.byte 0, 0, 0, 0
	.short 0
	.short message_end - .
	.byte 0x1a, 0
	.short 0
text:	.space 16
message_end:
`,
    );
    tool('s390x-linux-gnu-as', '-m64', '-march=z10', '-o', at('ramdisk.o'), at('ramdisk.S'));
    tool('s390x-linux-gnu-objcopy', '-O', 'binary', '-j', '.text', at('ramdisk.o'), at('ramdisk.bin'));
    writeFileSync(at('ramdisk.raw'), Buffer.concat([Buffer.alloc(0x10000), readFileSync(at('ramdisk.bin'))]));
    writeFileSync(at('sixteen'), 'sixteen letters\n');
    create('ramdisk.img', '-i', at('ramdisk.raw'), '-r', at('sixteen'), '--no-component-check');
    expect(start(unpacked(at('ramdisk.img')))).toBe('sixteen letters\n');
  });

  test.each([
    ['the command line is too long for the kernel', ['--cmdline', 'x'.repeat(896)], () => {}],
    [
      'the command line does not end',
      ['--cmdline', 'x'],
      (image: Uint8Array, { components: [, cmdline] }: ReturnType<typeof readSeImage>) =>
        image.set([0x78], Number(cmdline.address) + 1),
    ],
  ])('stage3b refuses: %s', (reason, args, change) => {
    create('wrong.img', '-i', HELLO, '--no-component-check', ...args);
    expect(start(unpacked(at('wrong.img'), change))).toContain(`Secure Execution: ${reason}\n`);
  });
});
