import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FileDisk } from '../../src/cli/file-disk.ts';
import { DiskError } from '../../src/devices/disk.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-disk-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const at = (name: string) => join(scratch, name);
writeFileSync(at('empty'), '');
writeFileSync(at('odd'), new Uint8Array(1000));
mkdirSync(at('folder'));

describe('--disk', () => {
  it.each([
    ['nothing', 'no such file'],
    ['folder', 'directory'],
    ['empty', 'it is empty'],
    ['odd', '1000 bytes are not whole sectors of 512'],
  ])('of %s: one line that names the file and the reason', (name, reason) => {
    expect(() => new FileDisk(at(name))).toThrow(new RegExp(`^--disk: ${at(name)}: .*${reason}`, 'i'));
  });

  it('of what is no regular file', () => {
    expect(() => new FileDisk('/dev/null')).toThrow('--disk: /dev/null: it is no regular file');
  });

  it('ends the command with status 2', () => {
    const args = ['bin/cloister.js', 'run', '--disk', at('odd'), 'guests/powerpc/disk.elf'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe(`cloister: --disk: ${at('odd')}: 1000 bytes are not whole sectors of 512\n`);
  });

  it('a file that became shorter is an I/O error of the guest, not the end of the run', () => {
    writeFileSync(at('short'), new Uint8Array(2048));
    const disk = new FileDisk(at('short'));
    expect(disk.sectors).toBe(4);
    writeFileSync(at('short'), new Uint8Array(512));
    expect(disk.read(0, 1)).toEqual(new Uint8Array(512));
    expect(() => disk.read(1, 2)).toThrow(DiskError);
    disk.close();
  });
});
