import { spawnSync } from 'node:child_process';
import { createCipheriv, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeProvider } from '../../src/crypto/node.ts';
import { readRsaPrivateKey } from '../../src/crypto/rsa-key.ts';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import { MemoryDisk } from '../../src/devices/disk.ts';
import { PowerMachine } from '../../src/powerpc/machine.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-passphrase-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);

/** Runs the built command, as a user does. */
function cloister(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/cloister.js', ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const GUEST = 'guests/powerpc/passphrase.elf';
const PASS_PHRASE = 'correct horse battery staple';
const ITERATIONS = 500;
const SECTORS = 9;
const salt = randomBytes(8);

/** As OpenSSL derives key and initialization vector: `openssl enc -chacha20 -pbkdf2 -iter N`. */
function keyOf(passPhrase: string) {
  const bytes = pbkdf2Sync(passPhrase, salt, ITERATIONS, 48, 'sha256');
  return { key: bytes.subarray(0, 32), iv: bytes.subarray(32) };
}

/** A disk for the guest: OpenSSL's header, and a digest before the contents. */
function encryptedDisk(passPhrase: string): Buffer {
  const contents = randomBytes(SECTORS * 512 - 16 - 32);
  const { key, iv } = keyOf(passPhrase);
  const cipher = createCipheriv('chacha20', key, iv);
  const digest = createHash('sha256').update(contents).digest();
  return Buffer.concat([Buffer.from('Salted__'), salt, cipher.update(Buffer.concat([digest, contents]))]);
}

const proof = (passPhrase: string) =>
  createHmac('sha256', keyOf(passPhrase).key).update('cloister: this guest read its pass phrase').digest('hex');

const opened = (passPhrase: string, last: string) =>
  [
    `a pass phrase of ${passPhrase.length} bytes`,
    'nobody can read it again',
    `proof ${proof(passPhrase)}`,
    last,
    '',
  ].join('\n');
const OPENS = `it opens the disk: ${SECTORS * 512 - 48} bytes`;
const DOES_NOT = 'it does not open the disk';
const NORMAL = 'a normal VM has no pass phrase\n';

const disk = encryptedDisk(PASS_PHRASE);
writeFileSync(at('disk'), disk);
for (const name of ['machine', 'other']) cloister('keys', 'rsa', at(name));

/** Makes a blob with a pass phrase in it, and gives the name of its file. */
function blob(name: string, passPhrase: string, recipient: string): string {
  writeFileSync(at(`${name}.txt`), passPhrase);
  const { status } = cloister(
    ...['image', 'esmb', 'create', '--kernel', GUEST, '--cmdline', `${ITERATIONS}`, '--out', at(name)],
    ...['--recipient', at(`${recipient}.pub.pem`), '--file', `rootd=${at(`${name}.txt`)}`],
  );
  expect(status).toBe(0);
  return at(name);
}

const run = (esmBlob: string, ...args: string[]) =>
  cloister(
    ...['run', '--protected', '--memory', '16M', '--uv-key', at('machine.pem'), '--esm-blob', esmBlob],
    ...['--disk', at('disk'), '--cmdline', `${ITERATIONS}`, ...args, GUEST],
  );

const good = blob('good', PASS_PHRASE, 'machine');

describe('a guest whose disk opens with the pass phrase in its ESM blob', () => {
  it.each(['of', 'fdt'])('reads it once, proves it and opens its disk: entry %s', (entry) => {
    expect(run(good, '--entry', entry)).toEqual({ status: 0, out: opened(PASS_PHRASE, OPENS), err: '' });
    expect(Buffer.compare(readFileSync(at('disk')), disk)).toBe(0);
  });

  it.each([64, 200])('reads one of %i bytes, which takes several calls', (length) => {
    const passPhrase = 'x'.repeat(length);
    const { out } = run(blob(`of ${length}`, passPhrase, 'machine'));
    expect(out).toBe(opened(passPhrase, DOES_NOT));
  });

  it('does not open the disk with another pass phrase, and proves another', () => {
    const { out } = run(blob('wrong', 'correct horse battery stapler', 'machine'));
    expect(out).toBe(opened('correct horse battery stapler', DOES_NOT));
  });

  it('has none as a normal VM: on a machine without the facility, with another key, or with another command line', () => {
    expect(cloister('run', '--disk', at('disk'), GUEST)).toEqual({ status: 0, out: NORMAL, err: '' });
    const foreign = run(blob('foreign', PASS_PHRASE, 'other'));
    expect([foreign.status, foreign.out]).toEqual([0, NORMAL]);
    expect(foreign.err).toContain('none opens with the key of this machine');
    const other = run(good, '--cmdline', '1');
    expect([other.status, other.out]).toEqual([0, NORMAL]);
    expect(other.err).toContain('what the blob says: bootargs');
  });

  it('has none of a blob in which a byte of it was changed', () => {
    const bytes = readFileSync(good);
    const files = bytes.lastIndexOf('rootd\0');
    // The file's node is the last of the structure block: behind its name come the properties, one of them the ciphertext.
    const property = bytes.indexOf(Buffer.from([0, 0, 0, 3, 0, 0, 0, PASS_PHRASE.length]), files);
    expect(property).toBeGreaterThan(files);
    bytes[property + 12] ^= 1;
    writeFileSync(at('tampered'), bytes);
    expect(run(at('tampered'))).toMatchObject({ status: 0, out: 'the blob has no pass phrase\n' });
  });

  it('is another guest, and normal, if the image was changed', () => {
    const image = readFileSync(GUEST);
    const text = image.indexOf('it opens the disk');
    image[text] ^= 1;
    writeFileSync(at('changed.elf'), image);
    const args = ['run', '--protected', '--uv-key', at('machine.pem'), '--esm-blob', good, '--disk', at('disk')];
    const { out, err } = cloister(...args, '--cmdline', `${ITERATIONS}`, at('changed.elf'));
    expect(out).toBe(NORMAL);
    expect(err).toContain('what the blob says: kernel');
  });

  it('shows its hypervisor neither pass phrase nor key', () => {
    const { key } = keyOf(PASS_PHRASE);
    const secrets = [Buffer.from(PASS_PHRASE), key].flatMap((bytes) =>
      [0, 8, 16].map((from) => new Uint8Array(bytes.subarray(from, from + 8))),
    );
    const console = new ConsoleBuffer();
    const file = (name: string) => ({ file: name, bytes: new Uint8Array(readFileSync(name)) });
    const machine = new PowerMachine({
      protected: true,
      secureMemory: 16 << 20,
      seed: '1',
      interpret: false,
      crypto: nodeProvider,
      trace: null,
      uvKey: readRsaPrivateKey(readFileSync(at('machine.pem'), 'latin1')),
      watch: { secrets: secrets.flatMap((word) => [word, word.toReversed()]), digests: false },
      software: {
        role: 'guest',
        guests: [
          {
            name: 'guest',
            image: file(GUEST),
            initrd: null,
            cmdline: `${ITERATIONS}`,
            memory: 8 << 20,
            cpus: 1,
            entry: 'fdt',
            esmBlob: file(good),
            disk: new MemoryDisk(new Uint8Array(disk)),
            console,
          },
        ],
      },
    });
    expect(machine.run(1e9)).toMatchObject({ kind: 'poweroff' });
    expect(new TextDecoder().decode(console.written())).toBe(opened(PASS_PHRASE, OPENS));
    expect(machine.view?.observations.length).toBeGreaterThan(50);
    expect(machine.view?.sightings).toEqual([]);
  });
});
