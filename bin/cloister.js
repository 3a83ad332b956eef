#!/usr/bin/env node
import { existsSync } from 'node:fs';
import './v8-flags.js';

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
