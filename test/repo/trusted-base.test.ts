import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

/** What `npm run trusted-base` prints: files of the trusted part, then folders that it imports, each with lines and lines of code. */
function printed(arch: string): { files: Map<string, number>; folders: Map<string, number> } {
  const { stdout, status } = spawnSync(process.execPath, ['scripts/trusted-base.js', arch], { encoding: 'utf8' });
  expect(status).toBe(0);
  const rows = [...stdout.matchAll(/^(src\S+)(?: \(\d+ files\))? +\d+ +(\d+)$/gm)];
  const entries = rows.map(([, path, code]) => [path, Number(code)] as [string, number]);
  const isFile = ([path]: [string, number]) => path.endsWith('.ts');
  return { files: new Map(entries.filter(isFile)), folders: new Map(entries.filter((entry) => !isFile(entry))) };
}

const docs = readFileSync('docs/trusted-base.md', 'utf8');
/** An afternoon: what somebody reads with care in four hours, at a thousand lines of code an hour. */
const AFTERNOON = 4500;

describe.each([
  ['powerpc', 'src/powerpc/ultravisor'],
  ['arm64', 'src/arm64/hyp'],
  ['s390', 'src/s390/ultravisor'],
])('the trusted base of %s that docs/trusted-base.md tells of', (arch, folder) => {
  const { files, folders } = printed(arch);
  const code = [...files.values()].reduce((sum, lines) => sum + lines, 0);

  it('has as many files and lines of code as the script counts, to a hundred lines', () => {
    const told = new RegExp(`\`${folder}/\` \\((\\d+) files, some ([\\d,]+) lines of code`).exec(docs);
    const [, count, lines] = told ?? [];
    expect(Number(count)).toBe(files.size);
    expect(Math.abs(Number(lines?.replace(',', '')) - code)).toBeLessThanOrEqual(100);
    expect(folders.get(folder)).toBe(code);
  });

  it('can be read in an afternoon', () => {
    expect(code).toBeLessThan(AFTERNOON);
  });

  it('names every folder that it imports', () => {
    const missing = [...folders.keys()].filter((name) => !docs.includes(`\`${name}`));
    expect(missing).toEqual([]);
  });
});
