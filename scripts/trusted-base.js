// What has to be right for a protected VM to be safe: the Ultravisor of Power or IBM Z, or the hyp of arm64, file by file, and what it imports, by folder.
//   npm run trusted-base [-- arm64|s390]
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** By architecture: its trusted part, and the file that everything in it hangs on. */
const TRUSTED = {
  powerpc: { name: 'the Ultravisor', folder: 'src/powerpc/ultravisor', start: 'ultravisor.ts' },
  arm64: { name: 'the hyp', folder: 'src/arm64/hyp', start: 'hypervisor.ts' },
  s390: { name: 'the Ultravisor', folder: 'src/s390/ultravisor', start: 'ultravisor.ts' },
};
const IMPORT = /(?:^|\n)(?:import|export)\s[^;]*?from\s+'(\.[^']+)'/g;

/** Lines, and those of them that are neither blank nor comment. */
function sizeOf(text) {
  const lines = text.split('\n').slice(0, -1);
  const code = lines.filter((line) => !/^\s*(?:$|\/\/|\/\*|\*)/.test(line));
  return { lines: lines.length, code: code.length };
}

/** Every file that the trusted part imports, itself or by way of others, types included: by path from the root of the repository. */
export function trustedFiles({ folder, start } = TRUSTED.powerpc) {
  const files = new Map();
  const todo = [`${folder}/${start}`];
  for (let file = todo.pop(); file !== undefined; file = todo.pop()) {
    if (files.has(file)) continue;
    const text = readFileSync(join(ROOT, file), 'utf8');
    files.set(file, sizeOf(text));
    for (const [, path] of text.matchAll(IMPORT)) todo.push(relative(ROOT, join(ROOT, dirname(file), path)));
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The same by folder. */
export function trustedFolders(files = trustedFiles()) {
  const folders = new Map();
  for (const [file, { lines, code }] of files) {
    const folder = dirname(file);
    const sum = folders.get(folder) ?? { files: 0, lines: 0, code: 0 };
    folders.set(folder, { files: sum.files + 1, lines: sum.lines + lines, code: sum.code + code });
  }
  return folders;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const part = TRUSTED[process.argv[2] ?? 'powerpc'];
  if (part === undefined) throw new Error(`there is ${Object.keys(TRUSTED).join(', ')}`);
  const files = trustedFiles(part);
  const row = (name, { lines, code }) =>
    console.log(`${name.padEnd(52)} ${`${lines}`.padStart(6)} ${`${code}`.padStart(6)}`);
  console.log(`${part.name.padEnd(52)} ${'lines'.padStart(6)} ${'code'.padStart(6)}`);
  for (const [file, size] of files) if (dirname(file) === part.folder) row(file, size);
  console.log('\nand what it imports, by folder');
  for (const [folder, size] of trustedFolders(files)) row(`${folder} (${size.files} files)`, size);
}
