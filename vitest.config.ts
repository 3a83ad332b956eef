import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/oracle/**', 'test/fixtures/**'],
    // Forks, not threads: machines hold gigabytes of WebAssembly memory, which only the end of a process surely gives back,
    // and V8 flags cannot differ between threads of one process.
    pool: 'forks',
    maxWorkers: 2,
    // The same flag that bin/cloister.js sets, so that tests compile the code that users run.
    execArgv: ['--experimental-wasm-branch-hinting'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
