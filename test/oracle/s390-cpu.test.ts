import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProgramMachine } from '../s390/cpu/s390-program.ts';
import { SYSTEM_CASES, TOLERATED } from '../s390/cpu/system-cases.ts';
import {
  AT,
  assemble,
  discard,
  recordBytes,
  recordOf,
  runOnQemu,
  STORAGE,
  type SystemProgram,
} from '../s390/cpu/system-program.ts';
import { requireTool } from '../support/tools.ts';

const TOOLS = ['qemu-system-s390x', 's390x-linux-gnu-as', 's390x-linux-gnu-ld', 's390x-linux-gnu-objcopy'] as const;
const available = TOOLS.every((tool) => requireTool(tool).available);
const count = SYSTEM_CASES.length;

describe.skipIf(!available)('supervisor state against qemu-system-s390x', () => {
  let program: SystemProgram | undefined;
  let expected: Uint8Array;

  beforeAll(async () => {
    program = assemble(SYSTEM_CASES);
    expected = await runOnQemu(program, count);
  }, 90_000);

  afterAll(() => program && discard(program));

  test.each([
    { interpret: true, sie: false },
    { interpret: false, sie: false },
    { interpret: true, sie: true },
  ])('the same registers, interruptions and storage, %o', (how) => {
    // BRCL to where the program is linked.
    const machine = new ProgramMachine('c0f400008000', { ...how, memory: STORAGE });
    machine.load(AT.text, program?.bytes ?? new Uint8Array());
    machine.run();
    expect(machine.end).toBe(0x1234n);
    const found = machine.storage(AT.records, recordBytes(count));
    for (const [n, [name]] of SYSTEM_CASES.entries()) {
      const [ours, theirs] = [recordOf(found, n), recordOf(expected, n)];
      if (TOLERATED.has(name)) expect.soft(ours, `${name}: no longer tolerated`).not.toEqual(theirs);
      else expect.soft(ours, name).toEqual(theirs);
    }
  });
});
