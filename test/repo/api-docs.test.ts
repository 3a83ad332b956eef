import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-docs-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function docs(module: string, output: string): { status: number | null; err: string; text: string } {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/api-docs.js', module, output], { encoding: 'utf8' });
  return { status, err: stderr, text: readFileSync(output, 'utf8') };
}

describe('API docs', () => {
  it('every exported name of the library has a docstring', () => {
    const { status, err, text } = docs('src/index.ts', join(scratch, 'api.md'));
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(text).toContain(
      '## createMachine\n\n```ts\nexport function createMachine(options: MachineOptions): Machine\n```',
    );
  });

  it('a name without one is an error that names it', () => {
    const module = join(scratch, 'planted.ts');
    writeFileSync(
      module,
      '/** Said. */\nexport class A {\n  #x = 1;\n  /** What it is. */\n  get x(): number { return this.#x; }\n}\nexport const b = 2;\n',
    );
    const { status, err, text } = docs(module, join(scratch, 'planted.md'));
    expect(status).toBe(1);
    expect(err).toMatch(/planted\.ts: b is exported without a docstring\n$/);
    expect(text).toContain('* `get x(): number`: What it is.');
    expect(text).not.toContain('#x');
  });
});
