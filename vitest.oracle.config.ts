import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/oracle/**/*.test.ts'],
    exclude: ['test/fixtures/**'],
    pool: 'forks',
    maxWorkers: 2,
    execArgv: ['--experimental-wasm-branch-hinting'],
    // Foreign tools boot whole machines and assemble whole opcode spaces.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    passWithNoTests: true,
  },
});
