#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

// V8 of Node 20 to 24 honours WebAssembly branch hints only under this flag, and reads it when it first compiles a
// module. Another V8 may have dropped the flag; hints only cost speed, so that is no reason to stop.
try {
  setFlagsFromString('--experimental-wasm-branch-hinting');
} catch {}

const entry = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(entry)) {
  try {
    const { main } = await import(entry.href);
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error);
    process.exitCode = 70;
  }
} else {
  console.error('cloister: not built yet: run npm ci first');
  process.exitCode = 70;
}
