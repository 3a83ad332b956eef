import { describe, expect, it } from 'vitest';
import { VECTOR } from '../../../src/powerpc/abi.ts';
import { IMAGE_BASE, makeMachine, Program, type TestRun } from '../../support/power-program.ts';

const LIMIT = 400_000_000;

/** Counts interrupts in R20 and sets the decrementer anew, by way of R22. */
const onDecrementer = (next: number): Program =>
  new Program(Number(VECTOR.DECREMENTER)).addi(20, 20, 1).li(22, next).mtspr('DEC', 22).rfid();

/** Counts interrupts in R20, and ends each; R23 gets XIRR. R31 is the processor's number. It may interrupt code that uses none of R3, R4, R5 and R20 to R25. */
const onExternal = (): Program =>
  new Program(Number(VECTOR.EXTERNAL))
    .mfspr(24, 'SRR0')
    .mfspr(25, 'SRR1')
    .addi(20, 20, 1)
    .hcall('H_XIRR')
    .mr(23, 4)
    // An IPI would come again if it were not taken back.
    .mr(4, 31)
    .hcall('H_IPI', null, 0xff)
    .mr(4, 23)
    .hcall('H_EOI')
    .mtspr('SRR0', 24)
    .mtspr('SRR1', 25)
    .rfid();

const onReset = (): Program => new Program(Number(VECTOR.SYSTEM_RESET)).addi(21, 21, 1).rfid();

const NEVER = 0x7fffffff;

/** The console as numbers of 8 bytes. */
function numbers(run: TestRun): bigint[] {
  const bytes = run.consoles[0]?.written() ?? new Uint8Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, i) => view.getBigUint64(8 * i));
}

function finish(run: TestRun): void {
  expect(run.machine.run(LIMIT)).toMatchObject({ kind: 'poweroff' });
}

describe.each([
  ['a normal VM', false],
  ['an SVM', true],
] as const)('%s', (_, secure) => {
  const start = (): Program => new Program().becomeSecure(secure).li(20, 0).li(21, 0).li(31, 0);

  it('prints and powers off', () => {
    const run = makeMachine(secure, [{ program: start().print('hello').powerOff() }]);
    finish(run);
    expect(run.text()).toBe('hello');
    expect(Object.values(run.machine.statistics().vmStates)).toEqual([secure ? 'secure' : 'normal']);
  });

  it('the decrementer interrupts it, again and again, and MSR[EE] holds it back', () => {
    const program = start()
      .li(22, 100)
      .mtspr('DEC', 22)
      .delay(2000)
      .mr(26, 20)
      .interrupts(true)
      .waitFor(20, 3)
      .interrupts(false)
      .printRegister(26)
      .powerOff();
    const run = makeMachine(secure, [{ program, more: [onDecrementer(5000)] }]);
    finish(run);
    expect(numbers(run)).toEqual([0n]);
  });

  it('H_CEDE sleeps until the decrementer, which it then takes', () => {
    const program = start()
      .li(22, 3_000_000)
      .mtspr('DEC', 22)
      .mfspr(27, 'TB')
      .hcall('H_CEDE')
      .mr(26, 20)
      .mfspr(28, 'TB')
      .printRegister(26)
      .printRegister(27)
      .printRegister(28)
      .powerOff();
    const run = makeMachine(secure, [{ program, more: [onDecrementer(NEVER)] }]);
    finish(run);
    const [count, before = 0n, after = 0n] = numbers(run);
    expect(count).toBe(1n);
    expect(after - before).toBeGreaterThan(3_000_000n);
    expect(after - before).toBeLessThan(3_010_000n);
  });

  it('an IPI to itself waits for MSR[EE], or comes with the end of H_IPI', () => {
    const program = start()
      .hcall('H_CPPR', 0xff)
      .hcall('H_IPI', 0, 4)
      .delay(1000)
      .mr(26, 20)
      .interrupts(true)
      .mr(27, 20)
      .mr(29, 23)
      .hcall('H_IPI', 0, 5)
      .mr(28, 20)
      .interrupts(false)
      .printRegister(26)
      .printRegister(27)
      .printRegister(28)
      .printRegister(29)
      .powerOff();
    const run = makeMachine(secure, [{ program, more: [onExternal()] }]);
    finish(run);
    expect(numbers(run)).toEqual([0n, 1n, 2n, 0xff000002n]);
  });

  it('console input interrupts it in H_CEDE, and is there for H_GET_TERM_CHAR', () => {
    const program = start()
      .rtas('ibm,set-xive', [0x1100, 0, 5])
      .hcall('H_CPPR', 0xff)
      .hcall('H_CEDE')
      .interrupts(false)
      .printRegister(23)
      .hcall('H_GET_TERM_CHAR', 0)
      .mr(15, 4)
      .mr(6, 5)
      .li(4, 0)
      .mr(5, 15)
      .hcall('H_PUT_TERM_CHAR')
      .powerOff();
    const run = makeMachine(secure, [{ program, more: [onExternal()] }]);
    expect(run.machine.run(30_000_000).kind).toBe('limit');
    expect(run.text()).toBe('');
    run.consoles[0]?.feed(new TextEncoder().encode('hello'));
    expect(run.machine.run(LIMIT)).toMatchObject({ kind: 'poweroff' });
    expect(numbers(run)[0]).toBe(0xff001100n);
    expect(run.text().slice(-5)).toBe('hello');
  });

  it('H_SIGNAL_SYS_RESET interrupts even with MSR[EE]=0', () => {
    const program = start()
      .hcall('H_SIGNAL_SYS_RESET', 0)
      .mr(26, 21)
      .hcall('H_SIGNAL_SYS_RESET', -2)
      .mr(27, 21)
      .hcall('H_SIGNAL_SYS_RESET', 7)
      .mr(28, 3)
      .printRegister(26)
      .printRegister(27)
      .printRegister(28)
      .powerOff();
    const run = makeMachine(secure, [{ program, more: [onReset()] }]);
    finish(run);
    expect(numbers(run)).toEqual([1n, 1n, BigInt.asUintN(64, -4n)]);
  });

  it('start-cpu, stop-self and query-cpu-stopped-state, and the same CPU once more', () => {
    const program = start().la(30, 'flags').la(9, 'second');
    for (const turn of [1, 2]) {
      for (const cpu of [1, 2, 3]) {
        // The block's words are code, so addresses that are not known yet are stored into it.
        program.b(`go ${turn} ${cpu}`).label(`block ${turn} ${cpu}`).emit(0x2006, 3, 1, cpu, 0, 0, 0xdead);
        program.label(`go ${turn} ${cpu}`).la(4, `block ${turn} ${cpu}`).stw(9, 16, 4);
        program
          .addi(10, 30, 8 * cpu)
          .stw(10, 20, 4)
          .mr(29, 4)
          .hcall('H_RTAS')
          .lwz(26, 24, 29)
          .printRegister(26);
      }
      for (const cpu of [1, 2, 3]) {
        program.waitWhile(8 * cpu, 30, turn - 1);
        const stopped = `stopped ${turn} ${cpu}`;
        program.label(stopped).rtas('query-cpu-stopped-state', [cpu], 2).lwz(5, 4, 14).cmpdi(5, 0).bne(stopped);
      }
    }
    for (const cpu of [1, 2, 3]) program.ld(26, 8 * cpu, 30).printRegister(26);
    program.rtas('start-cpu', [9, 0, 0]).mr(26, 3).printRegister(26);
    program.rtas('start-cpu', [0, 0, 0]).mr(26, 3).printRegister(26).powerOff();
    program.label('second').ld(5, 0, 3).addi(5, 5, 1).std(5, 0, 3).rtas('stop-self', []).label('gone').b('gone');
    program.label('flags').emit(...new Array(8).fill(0));
    const run = makeMachine(secure, [{ program, cpus: 4 }]);
    finish(run);
    const parameter = 0xfffffffdn;
    const hardware = 0xffffffffn;
    expect(numbers(run)).toEqual([...new Array(6).fill(0n), 2n, 2n, 2n, parameter, hardware]);
  });

  it.each([
    ['H_IPI', 'H_IPI', [1, 4]],
    ['H_PROD', 'H_PROD', [1]],
    ['H_SIGNAL_SYS_RESET', 'H_SIGNAL_SYS_RESET', [1]],
  ] as const)('%s wakes an idle CPU at once', (_name, call, args) => {
    const program = start().la(30, 'flags').la(9, 'second');
    program.b('go').label('block').emit(0x2006, 3, 1, 1, 0, 0, 0xdead).label('go').la(4, 'block');
    program.stw(9, 16, 4).stw(30, 20, 4).hcall('H_RTAS');
    program.waitWhile(0, 30, 0).delay(100_000).ld(26, 8, 30).mfspr(27, 'TB');
    program
      .hcall(call, ...args)
      .waitWhile(8, 30, 0)
      .ld(28, 8, 30);
    program.printRegister(26).printRegister(27).printRegister(28).powerOff();
    program.label('second').mr(30, 3).li(20, 0).li(31, 1).hcall('H_CPPR', 0xff).li(5, 1).std(5, 0, 30);
    program.hcall('H_CEDE').mfspr(5, 'TB').std(5, 8, 30).label('gone').b('gone');
    program.label('flags').emit(0, 0, 0, 0);
    const run = makeMachine(secure, [{ program, cpus: 2, more: [onExternal(), onReset()] }]);
    finish(run);
    const [early, sent = 0n, woke = 0n] = numbers(run);
    expect(early).toBe(0n);
    // It does not wait for the other CPU's turn to end.
    expect(woke - sent).toBeLessThan(2_000n);
    expect(woke).toBeGreaterThan(sent);
  });

  it('two VMs share a CPU: neither keeps it', () => {
    const count = (label: string): Program =>
      start().mfspr(26, 'TB').print(`${label} starts`).delay(8_000_000).print(`${label} ends`).powerOff();
    const run = makeMachine(secure, [{ program: count('a') }, { program: count('b') }]);
    finish(run);
    const order = run.trace.events.flatMap((e) => (e.type === 'console' ? [new TextDecoder().decode(e.bytes)] : []));
    expect(order).toEqual(['a starts', 'b starts', 'a ends', 'b ends']);
    expect(run.machine.statistics().exits.HV_DECREMENTER).toBeGreaterThanOrEqual(2);
  });

  it('two VMs of two CPUs each share two CPUs', () => {
    const pair = (): Program => {
      const program = start().la(30, 'flags').la(9, 'second');
      program.b('go').label('block').emit(0x2006, 3, 1, 1, 0, 0, 0xdead).label('go').la(4, 'block');
      program.stw(9, 16, 4).stw(30, 20, 4).hcall('H_RTAS').waitWhile(0, 30, 0).delay(8_000_000);
      program.li(5, 1).std(5, 8, 30).waitWhile(16, 30, 0).ld(26, 16, 30).printRegister(26).powerOff();
      program.label('second').mr(30, 3).li(5, 7).std(5, 0, 30).waitWhile(8, 30, 0).std(5, 16, 30);
      return program.rtas('stop-self', []).label('gone').b('gone').label('flags').emit(0, 0, 0, 0, 0, 0);
    };
    const run = makeMachine(secure, [
      { program: pair(), cpus: 2 },
      { program: pair(), cpus: 2 },
    ]);
    finish(run);
    for (const { vm } of run.machine.guests) expect(vm.end).toMatchObject({ kind: 'poweroff' });
    expect(numbers(run)).toEqual([7n]);
    expect(run.machine.statistics().exits.HV_DECREMENTER).toBeGreaterThanOrEqual(4);
  });
});

describe('a VM with two CPUs becomes secure', () => {
  it('while the other executes: that one stops, and can be started as a secure CPU', () => {
    const program = new Program().whenSecure('secure').mr(28, 3).la(30, 'flags').la(9, 'normal');
    // What it writes lies outside the image, which the ESM blob proves.
    const data = new Program(IMAGE_BASE + 0x200000);
    const startCpu = (label: string): Program => {
      program.at(`${label} block`, data.label(label).address(label));
      data.emit(0x2006, 3, 1, 1, 0, 0, 0xdead);
      return program.la(4, `${label} block`).stw(9, 16, 4).stw(30, 20, 4).mr(29, 4).hcall('H_RTAS').lwz(26, 24, 29);
    };
    startCpu('first').waitWhile(0, 30, 0).la(4, 'start').esm(28);
    program.label('secure').la(30, 'flags').ld(27, 0, 30).delay(100_000).ld(26, 0, 30);
    program.printRegister(26).printRegister(27).la(9, 'third');
    startCpu('second').printRegister(26).waitWhile(8, 30, 0).ld(26, 8, 30).printRegister(26).powerOff();
    program.label('normal').ld(5, 0, 3).addi(5, 5, 1).std(5, 0, 3).b('normal');
    program.label('third').mfmsr(5).std(5, 8, 3).label('gone').b('gone');
    program.at('flags', data.label('flags').address('flags')).at('start', program.base);
    data.emit(0, 0, 0, 0);
    const run = makeMachine(true, [{ program, more: [data], cpus: 2 }]);
    finish(run);
    const [later, earlier, started, msr = 0n] = numbers(run);
    expect(later).toBe(earlier);
    expect(started).toBe(0n);
    expect(msr & 0x8000000000400000n).toBe(0x8000000000400000n);
  });
});

it('a VM that ends while its other CPUs execute is taken down when they have left', () => {
  for (const secure of [false, true]) {
    const program = new Program().becomeSecure(secure).la(30, 'flags').la(9, 'second');
    program.b('go').label('block').emit(0x2006, 3, 1, 1, 0, 0, 0xdead).label('go').la(4, 'block');
    program.stw(9, 16, 4).stw(30, 20, 4).hcall('H_RTAS').waitWhile(0, 30, 0).powerOff();
    program.label('second').li(5, 1).std(5, 0, 3).label('spin').b('spin').label('flags').emit(0, 0);
    const run = makeMachine(secure, [{ program, cpus: 2 }]);
    finish(run);
    expect(run.machine.guests[0]?.vm.destroyed).toBe(true);
    expect(run.machine.clock.now).toBeLessThan(3_000_000);
  }
});
