import { describe, expect, it } from 'vitest';
import { MSR, SPR } from '../../../src/powerpc/abi.ts';
import { elf, Guest } from './machine.ts';

const BLOCK = 0x20000;
const BUFFER = 0x30000;

/** Makes an RTAS call. @returns R3, then the results */
function rtas(g: Guest, token: number, args: readonly number[], nret: number, secure = false): number[] {
  g.words(BLOCK, token, args.length, nret, ...args, ...new Array<number>(nret).fill(0x5a5a5a5a));
  const status = g.call('H_RTAS', [BLOCK], secure);
  return Number.isNaN(status) ? [status] : [status, ...g.readWords(BLOCK + 12 + 4 * args.length, nret)];
}

describe('RTAS, as QEMU serves it (hw/ppc/spapr_rtas.c)', () => {
  it('power-off ends the VM', () => {
    const g = new Guest();
    rtas(g, 0x2003, [0xffffffff, 0xffffffff], 1);
    expect(g.vm.end).toEqual({ kind: 'poweroff', detail: 'RTAS power-off' });
    expect(g.kvm.finished).toBe(true);
  });

  it('power-off with the wrong number of arguments is −3', () => {
    const g = new Guest();
    expect(rtas(g, 0x2003, [], 1)).toEqual([0, -3]);
    expect(g.vm.end).toBeNull();
  });

  it('system-reboot has the VM begin anew: kernel as in its file, other memory as it was', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const g = new Guest({ image: { file: 'k', bytes: elf([{ paddr: 0, bytes, memsz: 0x100 }]) }, cpus: 2 });
    g.spapr.memory.write(g.vm, 0x400000, new Uint8Array(0x200).fill(9));
    g.vm.lpcr = 1n;
    g.vm.vcpus[1].state = 'running';
    rtas(g, 0x2004, [], 1);
    expect(g.vm.end).toBeNull();
    expect(g.vm.vcpus.map(({ state }) => state)).toEqual(['running', 'stopped']);
    expect([g.port.spr(SPR.HSRR0), g.port.gpr(5)]).toEqual([0x400000n, 0x10cn]);
    expect(g.vm.lpcr).toBe(0n);
    const memory = g.spapr.memory.read(g.vm, 0x400000, 0x200);
    expect(memory).toEqual(Uint8Array.from([...bytes, ...new Array(0xfc).fill(0), ...new Array(0x100).fill(9)]));
  });

  it('ibm,set-xive, ibm,get-xive, ibm,int-off and ibm,int-on route and mask the console interrupt (QEMU hw/intc/xics_spapr.c)', () => {
    const g = new Guest({ cpus: 2 });
    const VTY = 0x1100;
    const LEAST = 0xff;
    expect(rtas(g, 0x200b, [VTY], 3)).toEqual([0, 0, 0, LEAST]);
    expect(rtas(g, 0x200a, [VTY, 1, 5], 1)).toEqual([0, 0]);
    expect(rtas(g, 0x200b, [VTY], 3)).toEqual([0, 0, 1, 5]);
    expect(rtas(g, 0x200c, [VTY], 1)).toEqual([0, 0]);
    expect(rtas(g, 0x200b, [VTY], 3)).toEqual([0, 0, 1, LEAST]);
    expect(rtas(g, 0x200d, [VTY], 1)).toEqual([0, 0]);
    expect(rtas(g, 0x200b, [VTY], 3)).toEqual([0, 0, 1, 5]);
    for (const args of [
      [0x1101, 0, 5],
      [VTY, 2, 5],
      [VTY, 0, 0x100],
      [VTY, 0],
    ]) {
      expect(rtas(g, 0x200a, args, 1)).toEqual([0, -3]);
    }
    for (const token of [0x200c, 0x200d]) expect(rtas(g, token, [0x1101], 1)).toEqual([0, -3]);
    expect(rtas(g, 0x200b, [VTY], 3)).toEqual([0, 0, 1, 5]);
  });

  it('display-character, also by the token that early debug code guesses', () => {
    const g = new Guest();
    expect(rtas(g, 0x2000, [0x41], 1)).toEqual([0, 0]);
    expect(rtas(g, 0xa, [0x42], 1)).toEqual([0, 0]);
    expect(new TextDecoder().decode(g.console.written())).toBe('AB');
  });

  it('an unknown token is H_PARAMETER and −3', () => {
    expect(rtas(new Guest(), 0x2999, [1], 1)).toEqual([-4, -3]);
  });

  it('more than 16 words of arguments and results are H_PARAMETER, and nothing is written', () => {
    const g = new Guest();
    g.words(BLOCK, 0x2000, 15, 2);
    expect(g.call('H_RTAS', [BLOCK])).toBe(-4);
    g.words(BLOCK, 0x2000, 0xffffffff, 1);
    expect(g.call('H_RTAS', [BLOCK])).toBe(-4);
    expect(g.console.written()).toHaveLength(0);
  });

  it('a block outside of memory is H_PARAMETER; its top four address bits do not count', () => {
    const g = new Guest();
    expect(g.call('H_RTAS', [0x10000000])).toBe(-4);
    g.words(BLOCK, 0x2000, 1, 1, 0x43, 0);
    expect(g.call('H_RTAS', [0xc000000000000000n + BigInt(BLOCK)])).toBe(0);
  });

  it('results that do not fit in memory: nothing happens', () => {
    const g = new Guest();
    const end = 8 * 2 ** 20;
    g.words(end - 16, 0x2000, 1, 1, 0x43);
    expect(g.call('H_RTAS', [end - 16])).toBe(-4);
    expect(g.console.written()).toHaveLength(0);
  });

  it('without room for a status, the call is made all the same', () => {
    const g = new Guest();
    expect(rtas(g, 0x2000, [0x41], 0)).toEqual([0]);
    expect(g.console.written()).toHaveLength(1);
  });

  it('get-time-of-day follows the time base, set-time-of-day moves it', () => {
    const g = new Guest();
    g.port.clock = 512_000_000n * 61n + 256_000_000n;
    expect(rtas(g, 0x2001, [], 8)).toEqual([0, 0, 2020, 1, 1, 0, 1, 1, 500_000_000]);
    expect(rtas(g, 0x2002, [2031, 12, 24, 18, 30, 15, 0], 1)).toEqual([0, 0]);
    g.port.clock += 512_000_000n;
    expect(rtas(g, 0x2001, [], 8).slice(0, 8)).toEqual([0, 0, 2031, 12, 24, 18, 30, 16]);
  });

  it('start-cpu, query-cpu-stopped-state, stop-self', () => {
    const g = new Guest({ cpus: 2 });
    expect(rtas(g, 0x2005, [1], 2)).toEqual([0, 0, 0]);
    expect(rtas(g, 0x2005, [0], 2)).toEqual([0, 0, 2]);
    expect(rtas(g, 0x2005, [2], 2).slice(0, 2)).toEqual([0, -3]);
    expect(rtas(g, 0x2006, [2, 0, 0], 1)).toEqual([0, -3]);
    expect(rtas(g, 0x2006, [0, 0, 0], 1)).toEqual([0, -1]);
    g.call('H_SET_MODE', [1, 4]);
    expect(rtas(g, 0x2006, [1, 0x400100, 0x77], 1)).toEqual([0, 0]);
    const [, second] = g.vm.vcpus;
    expect(second).toMatchObject({ state: 'running', context: { pc: 0x400100n, msr: MSR.SF | MSR.ME | MSR.LE } });
    expect(second.context.gpr[3]).toBe(0x77n);
    expect(rtas(g, 0x2005, [1], 2)).toEqual([0, 0, 2]);
    // The other one goes on, with its R3.
    expect(rtas(g, 0x2007, [], 0)).toEqual([0x77]);
    expect(g.vm.vcpus[0].state).toBe('stopped');
    expect(g.port.spr(SPR.LPIDR)).toBe(1n);
    expect(rtas(g, 0x2007, [], 0)).toEqual([Number.NaN]);
    expect(g.vm.end).toEqual({ kind: 'stopped', detail: 'all CPUs stopped' });
  });

  it('ibm,os-term is a crash with the text that the guest gives', () => {
    const g = new Guest();
    g.string(BUFFER, 'kernel panic');
    rtas(g, 0x201f, [BUFFER], 1);
    expect(g.vm.end).toEqual({ kind: 'crashed', detail: 'kernel panic' });
  });

  it('ibm,os-term without a text, from the Ultravisor, ends the VM by its will (power-pef.md 6.8)', () => {
    const g = new Guest();
    rtas(g, 0x201f, [0], 1, true);
    expect(g.vm.end?.kind).toBe('terminated');
  });

  it('event-scan and check-exception: nothing', () => {
    const g = new Guest();
    expect(rtas(g, 0x200f, [0xffffffff, 0, BUFFER, 0], 1)).toEqual([0, 1]);
    expect(rtas(g, 0x200e, [0, 0, 0, 0, BUFFER, 0], 1)).toEqual([0, 1]);
    expect(rtas(g, 0x200e, [0, 0, 0, 0, BUFFER, 0, 0, 0], 1)).toEqual([0, -3]);
  });

  it('ibm,get-system-parameter gives a length and a value', () => {
    const g = new Guest({ cpus: 2 });
    expect(rtas(g, 0x2008, [20, BUFFER, 100], 1)).toEqual([0, 0]);
    const text = 'MaxEntCap=2,DesMem=8,DesProcs=2,MaxPlatProcs=2\0';
    const value = g.spapr.memory.read(g.vm, BUFFER, 2 + text.length);
    expect(value[1]).toBe(text.length);
    expect(new TextDecoder().decode(value.subarray(2))).toBe(text);
    expect(rtas(g, 0x2008, [48, BUFFER, 100], 1)).toEqual([0, 0]);
    expect(rtas(g, 0x2008, [20, BUFFER, 1], 1)).toEqual([0, -9999]);
    expect(rtas(g, 0x2008, [99, BUFFER, 100], 1)).toEqual([0, -3]);
    expect(rtas(g, 0x2009, [20, BUFFER], 1)).toEqual([0, -9002]);
    expect(rtas(g, 0x2009, [99, BUFFER], 1)).toEqual([0, -3]);
  });
});
