import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-se-run-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);

function cloister(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/cloister.js', ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const image = (name: string, key: string) =>
  cloister('image', 'se', 'create', '-k', key, '--no-verify', '-i', `guests/s390/${name}.elf`, '-o', at(`${name}.img`));
const run = (...args: string[]) => cloister('run', '--arch', 's390', '--max-instructions', '100000000', ...args);
const PUBLIC = 'cloister: no --uv-key: the machine has the development host key, which is public: ';

describe('cloister run --arch s390 --protected', () => {
  it('unpacks an image for the development key, and says that everybody has that key', () => {
    expect(image('secret', 'development').status).toBe(0);
    const { status, out, err } = run('--protected', '--report', at('report.json'), at('secret.img'));
    expect({ status, out: out.split('\n').at(-2) }).toEqual({ status: 0, out: 'ran as a protected VM' });
    expect(err).toContain(PUBLIC);
    const report = JSON.parse(readFileSync(at('report.json'), 'utf8'));
    expect(report).toMatchObject({ arch: 's390', protected: true, vmState: 'secure', outcome: 'poweroff' });
    expect(report.calls.UNPACK).toBeGreaterThan(0);
    expect(report.pages.SECURE).toBeGreaterThan(0);
  });

  it('runs what is no image beside it, as a normal VM', () => {
    const { status, out } = run('--protected', 'guests/s390/hello.elf', at('secret.img'));
    expect(status).toBe(0);
    expect(out).toContain('hello.0: hello from s390x\n');
    expect(out).toContain('secret.img.1: ran as a protected VM\n');
  });

  it('unpacks an image for the key of --uv-key, and no other', () => {
    for (const name of ['machine', 'other']) cloister('keys', 'host', at(name));
    expect(image('hello', at('machine.pub.pem')).status).toBe(0);
    expect(run('--protected', '--uv-key', at('machine.pem'), at('hello.img'))).toEqual({
      status: 0,
      out: 'hello from s390x\n',
      err: '',
    });
    const { status, err } = run('--protected', '--uv-key', at('other.pem'), at('hello.img'));
    expect(status).toBe(1);
    expect(err).toContain('hello.img: not secure: SET_SEC_PARMS: rc 0x0108');
  });

  it('names a key that is none', () => {
    const { status, err } = run('--protected', '--uv-key', 'guests/s390/hello.S', at('hello.img'));
    expect([status, err]).toEqual([2, expect.stringMatching(/^cloister: guests\/s390\/hello\.S: no -----BEGIN/)]);
  });

  it('remarks options that are about Power', () => {
    expect(run('--protected', '--cipher', 'gcm', at('secret.img')).err).toContain(
      'cloister: --cipher does nothing with --arch s390\n',
    );
  });
});
