import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-input-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const ECHO = 'guests/powerpc/echo.elf';
const GREETING = 'type, and end with bye\n';

function start(...args: string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ['bin/cloister.js', 'run', ...args]);
}

/** Waits until the process has written this much. */
function written(child: ChildProcessWithoutNullStreams, wanted: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let out = '';
    child.stdout.on('data', (data) => {
      out += data;
      if (out.includes(wanted)) resolve();
    });
    child.once('exit', () => reject(new Error(`it ended after ${JSON.stringify(out)}`)));
  });
}

function ended(child: ChildProcessWithoutNullStreams): Promise<{ status: number | null; err: string }> {
  return new Promise((resolve) => {
    let err = '';
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.once('close', (status) => resolve({ status, err }));
  });
}

describe('standard input is the console', () => {
  it('a file: all of it is there from the start, and two runs are the same', () => {
    const file = join(scratch, 'typed');
    writeFileSync(file, `hello\n\n${'x'.repeat(100)}\nbye\nnever read`);
    const runs = ['1', '2'].map((n) => {
      const report = join(scratch, `report${n}`);
      const trace = join(scratch, `trace${n}`);
      const args = ['bin/cloister.js', 'run', '--report', report, '--trace', trace, ECHO];
      const { status, stdout } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        stdio: [openSync(file, 'r'), 'pipe', 'pipe'],
      });
      const seconds = /"seconds": [\d.e-]+/;
      return {
        status,
        stdout,
        report: readFileSync(report, 'utf8').replace(seconds, ''),
        trace: readFileSync(trace, 'utf8'),
      };
    });
    expect(runs[0]).toMatchObject({ status: 0, stdout: `${GREETING}5: hello\n0: \n72: ${'x'.repeat(72)}\n3: bye\n` });
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[0]?.trace).toMatch(/"type":"console-input",.*"bytes":"68656c6c6f0a0a/);
  });

  it('a pipe: what is written while the guest waits; a carriage return ends a line', async () => {
    const child = start(ECHO);
    await written(child, GREETING);
    child.stdin.write('hel');
    child.stdin.write('lo\r');
    await written(child, '5: hello\n');
    child.stdin.write('bye\n');
    expect(await ended(child)).toEqual({ status: 0, err: '' });
  });

  it('the end of input is no end of the run', async () => {
    const child = start('--max-instructions', '60000000', ECHO);
    child.stdin.end('one\n');
    expect(await ended(child)).toEqual({ status: 3, err: 'cloister: limit: 60000000 instructions\n' });
  });

  it('goes to the first of several VMs', async () => {
    const child = start(ECHO, 'guests/powerpc/hello.elf');
    await written(child, `echo.0: ${GREETING}`);
    child.stdin.write('bye\n');
    expect((await ended(child)).status).toBe(0);
  });
});

describe('a run that somebody ends', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s: trace and report are complete, exit status %i', async (signal, expected) => {
    const [trace, report] = [join(scratch, `${signal}.trace`), join(scratch, `${signal}.json`)];
    const child = start('--trace', trace, '--report', report, ECHO);
    const end = ended(child);
    await written(child, GREETING);
    child.kill(signal);
    expect(await end).toEqual({ status: expected, err: `cloister: stopped: ${signal}\n` });
    const lines = readFileSync(trace, 'utf8').split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'console')).not.toEqual([]);
    expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ outcome: 'stopped', detail: signal });
  });

  it('nobody reads its output any more: as by SIGPIPE', () => {
    const report = join(scratch, 'pipe.json');
    const command = `yes | '${process.execPath}' bin/cloister.js run --report '${report}' ${ECHO} | head -n 3; echo "\${PIPESTATUS[1]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    expect(stdout).toBe(`${GREETING}1: y\n1: y\n141\n`);
    expect(stderr).toBe('cloister: stopped: nobody reads standard output\n');
    expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ outcome: 'stopped' });
  });
});
