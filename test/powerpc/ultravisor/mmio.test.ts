import { describe, expect, it } from 'vitest';
import { DSISR, HCALL, MSR, PTE, SPR, VECTOR } from '../../../src/powerpc/abi.ts';
import { LPID, type Machine, PAGE, SLOT, secureMachine } from './machine.ts';

/** An address in no slot. */
const DEVICE = 0x2000_2345_0000n;
const CODE = 2 * PAGE + 0x100;

/** The SVM executes an instruction word in real mode that accesses `DEVICE + offset`. */
function execute(m: Machine, word: number, offset: number, { littleEndian = true, store = false } = {}): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, word, littleEndian);
  m.writeGuest(CODE, bytes);
  m.nia = BigInt(CODE);
  m.port.currentMsr = (m.port.currentMsr & ~MSR.LE) | (littleEndian ? MSR.LE : 0n);
  const address = DEVICE + BigInt(offset);
  m.port.setSpr(SPR.HDAR, address);
  m.port.setSpr(SPR.ASDR, address & ~0xfffn);
  m.port.setSpr(SPR.HDSISR, DSISR.NO_TRANSLATION | (store ? DSISR.STORE : 0n));
  m.interrupt(VECTOR.HV_DATA_STORAGE, m.nia, m.port.currentMsr);
}

const SHOWN = 0x1122334455667788n;

/**
 * Instruction words from the Power ISA 3.0B, Book I 3.3 (RT or RS is R5, RA is R6, RB is R7): what H_LOGICAL_CI_LOAD is asked for, and what a
 * little-endian guest finds in R5 when the device answers 0x…8899AABB as a big-endian number of that size.
 */
const LOADS = [
  ['lbz', 0x88a60000, 1, 0x88n, 0x88n, false],
  ['lhz', 0xa0a60000, 2, 0x8899n, 0x9988n, false],
  ['lha', 0xa8a60000, 2, 0x8899n, 0xffffffffffff9988n, false],
  ['lwz', 0x80a60000, 4, 0x8899aabbn, 0xbbaa9988n, false],
  ['lwa', 0xe8a60002, 4, 0x8899aabbn, 0xffffffffbbaa9988n, false],
  ['ld', 0xe8a60000, 8, SHOWN, 0x8877665544332211n, false],
  ['lwzu', 0x84a60000, 4, 1n, 0x01000000n, true],
  ['ldu', 0xe8a60001, 8, SHOWN, 0x8877665544332211n, true],
  ['lbzx', 0x7ca638ae, 1, 0x7fn, 0x7fn, false],
  ['lwzux', 0x7ca6386e, 4, 1n, 0x01000000n, true],
  ['lhaux', 0x7ca63aee, 2, 0x0080n, 0xffffffffffff8000n, true],
  ['lhbrx', 0x7ca63e2c, 2, 0x8899n, 0x8899n, false],
  ['lwbrx', 0x7ca63c2c, 4, 0x8899aabbn, 0x8899aabbn, false],
  ['ldbrx', 0x7ca63c28, 8, SHOWN, SHOWN, false],
] as const;

/** The same for stores: what H_LOGICAL_CI_STORE is given when R5 is 0x1122334455667788. */
const STORES = [
  ['stb', 0x98a60000, 1, 0x88n, false],
  ['sth', 0xb0a60000, 2, 0x8877n, false],
  ['stw', 0x90a60000, 4, 0x88776655n, false],
  ['std', 0xf8a60000, 8, 0x8877665544332211n, false],
  ['stwu', 0x94a60000, 4, 0x88776655n, true],
  ['stdux', 0x7ca6396a, 8, 0x8877665544332211n, true],
  ['sthbrx', 0x7ca63f2c, 2, 0x7788n, false],
  ['stwbrx', 0x7ca63d2c, 4, 0x55667788n, false],
  ['stdbrx', 0x7ca63d28, 8, SHOWN, false],
] as const;

describe('loads and stores of an SVM outside of memory (6.4)', () => {
  it.each(LOADS)('%s', (_, word, bytes, answer, expected, update) => {
    const m = secureMachine();
    m.port.setGpr(6, 0x5555n);
    execute(m, word, 0x128);
    const [seen] = m.seen;
    expect(seen.nia).toBe(VECTOR.SYSTEM_CALL);
    expect(seen.gprs.slice(3, 8)).toEqual([BigInt(HCALL.H_LOGICAL_CI_LOAD), BigInt(bytes), DEVICE + 0x128n, 0n, 0n]);
    m.port.setGpr(4, answer);
    m.port.setGpr(7, 0x666n);
    m.uvReturn(0);
    expect(m.secure).toBe(true);
    expect(m.nia).toBe(BigInt(CODE + 4));
    expect(m.port.gpr(5)).toBe(expected);
    expect(m.port.gpr(6)).toBe(update ? DEVICE + 0x128n : 0x5555n);
    expect(m.port.gpr(7)).not.toBe(0x666n);
  });

  it.each(STORES)('%s', (_, word, bytes, value, update) => {
    const m = secureMachine();
    m.port.setGpr(5, SHOWN);
    m.port.setGpr(6, 0x5555n);
    execute(m, word, 0x7f8, { store: true });
    expect(m.seen[0].gprs.slice(3, 8)).toEqual([
      BigInt(HCALL.H_LOGICAL_CI_STORE),
      BigInt(bytes),
      DEVICE + 0x7f8n,
      value,
      0n,
    ]);
    m.uvReturn(0);
    expect(m.nia).toBe(BigInt(CODE + 4));
    expect(m.port.gpr(5)).toBe(SHOWN);
    expect(m.port.gpr(6)).toBe(update ? DEVICE + 0x7f8n : 0x5555n);
  });

  it('a big-endian guest has the value as it is, and byte-reverse forms turn it round', () => {
    for (const [word, expected] of [
      [0x80a60000, 0x8899aabbn],
      [0x7ca63c2c, 0xbbaa9988n],
    ] as const) {
      const m = secureMachine();
      execute(m, word, 0, { littleEndian: false });
      m.port.setGpr(4, 0x8899aabbn);
      m.uvReturn(0);
      expect(m.port.gpr(5)).toBe(expected);
    }
  });

  it('bits that the hypervisor answers beyond the size do not reach the guest', () => {
    const m = secureMachine();
    execute(m, 0x88a60000, 0);
    m.port.setGpr(4, ~0n & 0xffffffffffffffffn);
    m.uvReturn(0);
    expect(m.port.gpr(5)).toBe(0xffn);
  });

  it.each([
    ['dcbf', 0x7c0030ac],
    ['dcbst', 0x7c00306c],
    ['dcbz', 0x7c0037ec],
    ['dcbt', 0x7c00322c],
    ['icbi', 0x7c0037ac],
  ])('%s does nothing', (_, word) => {
    const m = secureMachine();
    execute(m, word, 0);
    expect(m.seen).toEqual([]);
    expect(m.nia).toBe(BigInt(CODE + 4));
  });

  it.each([
    ['lwarx', 0x7ca63028],
    ['lmw', 0xb8a60000],
    ['lfd', 0xc8a60000],
    ['lwzu with RA = RT, which is invalid', 0x84a50000],
    ['an addition', 0x7ca63a14],
  ])('%s cannot be emulated: a data storage interrupt in the SVM, and the hypervisor sees nothing', (_, word) => {
    const m = secureMachine();
    execute(m, word, 0x10);
    expect(m.seen).toEqual([]);
    expect(m.nia).toBe(0x300n);
    expect(m.port.spr(SPR.SRR0)).toBe(BigInt(CODE));
    expect(m.port.spr(SPR.DAR)).toBe(DEVICE + 0x10n);
    expect(m.port.spr(SPR.DSISR) & DSISR.BAD_ACCESS).toBe(DSISR.BAD_ACCESS);
  });

  it('where the hypervisor has nothing: a data storage interrupt at the instruction', () => {
    const m = secureMachine();
    m.port.setGpr(5, 1n);
    execute(m, 0x80a60000, 0x10);
    m.port.setGpr(4, 0x666n);
    m.uvReturn(-4);
    expect(m.nia).toBe(0x300n);
    expect(m.port.spr(SPR.SRR0)).toBe(BigInt(CODE));
    expect(m.port.spr(SPR.DAR)).toBe(DEVICE + 0x10n);
    expect(m.port.spr(SPR.DSISR)).toBe(DSISR.NO_TRANSLATION);
    expect(m.port.gpr(5)).toBe(1n);
  });

  it('memory that the hypervisor takes away is no device: the SVM is killed, and no register shows (10.2 #45)', () => {
    const m = secureMachine();
    m.fromHypervisor(() => m.ultracall('UV_REGISTER_MEM_SLOT', LPID, DEVICE, PAGE, 0, SLOT + 1));
    m.fromHypervisor(() => m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID, SLOT + 1));
    m.port.setGpr(5, SHOWN);
    execute(m, 0x90a60000, 0, { store: true });
    expect(m.svmState()).toBe('DEAD');
    expect(m.seen.flatMap(({ gprs }) => gprs)).not.toContain(SHOWN);
  });

  it('what is in no slot below 2^45 is no device either: the hypervisor may have left memory out', () => {
    const offset = 2 ** 45 - 8 - Number(DEVICE);
    const killed = secureMachine();
    killed.port.setGpr(5, SHOWN);
    execute(killed, 0xf8a60000, offset, { store: true });
    expect(killed.svmState()).toBe('DEAD');
    expect(killed.seen.flatMap(({ gprs }) => gprs)).not.toContain(SHOWN);
    const served = secureMachine();
    served.port.setGpr(5, SHOWN);
    execute(served, 0xf8a60000, offset + 8, { store: true });
    expect(served.seen[0].gprs.slice(3, 6)).toEqual([BigInt(HCALL.H_LOGICAL_CI_STORE), 8n, 2n ** 45n]);
  });

  it('code in a page that is out comes in first, and the instruction is executed again', () => {
    const m = secureMachine();
    execute(m, 0x80a60000, 0x10);
    m.uvReturn(-4);
    m.pageOut(2);
    m.nia = BigInt(CODE);
    m.port.setSpr(SPR.HDAR, DEVICE);
    m.port.setSpr(SPR.ASDR, DEVICE);
    m.interrupt(VECTOR.HV_DATA_STORAGE, m.nia, m.port.currentMsr);
    expect(m.port.gprs.slice(3, 5)).toEqual([BigInt(HCALL.H_SVM_PAGE_IN), BigInt(2 * PAGE)]);
    m.hypervise();
    expect(m.nia).toBe(BigInt(CODE));
  });
});

describe('with translation on, the instruction is found by the guest’s own tables (10.1: pc is no linear address)', () => {
  const PROCESS_TABLE = 4 * PAGE;
  const ROOT = 5 * PAGE;
  const VIRTUAL = 0xc00000000abc0100n;
  const big = (m: Machine, gpa: number, value: bigint) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value);
    m.writeGuest(gpa, bytes);
  };

  /** Guest tables in a 52-bit space: one leaf of 64 KiB for PID 0, at the place of `VIRTUAL`. */
  function translated(): Machine {
    const m = secureMachine();
    // A new radix table; the hypervisor grants it (9.5).
    m.hypercall(HCALL.H_REGISTER_PROC_TBL, 0x18 | 4, PROCESS_TABLE, 0, 0);
    m.uvReturn(0);
    m.seen.length = 0;
    big(m, PROCESS_TABLE, (2n << 61n) | (5n << 5n) | BigInt(ROOT) | 13n);
    const table = 3 * PAGE;
    big(m, ROOT, (1n << 63n) | BigInt(table) | 9n);
    big(m, table, (1n << 63n) | BigInt(table + 0x1000) | 9n);
    big(m, table + 0x1000 + 8 * 0x55, (1n << 63n) | BigInt(table + 0x2000) | 5n);
    big(m, table + 0x2000 + 8 * 0x1c, (3n << 62n) | BigInt(2 * PAGE) | PTE.R | PTE.READ | PTE.EXECUTE);
    return m;
  }

  function fault(m: Machine): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, 0x80a60000, true);
    m.writeGuest(CODE, bytes);
    m.nia = VIRTUAL;
    m.port.currentMsr |= MSR.IR | MSR.DR;
    m.port.setSpr(SPR.HDAR, 0xc0003d0000000010n);
    m.port.setSpr(SPR.ASDR, DEVICE);
    m.port.setSpr(SPR.HDSISR, DSISR.NO_TRANSLATION);
    m.interrupt(VECTOR.HV_DATA_STORAGE, m.nia, m.port.currentMsr);
  }

  it('and the device’s address is the guest physical one', () => {
    const m = translated();
    fault(m);
    expect(m.seen[0].gprs.slice(3, 6)).toEqual([BigInt(HCALL.H_LOGICAL_CI_LOAD), 4n, DEVICE + 0x10n]);
    m.port.setGpr(4, 7n);
    m.uvReturn(0);
    expect(m.port.gpr(5)).toBe(0x07000000n);
    expect(m.nia).toBe(VIRTUAL + 4n);
  });

  it('a table in a page that is out comes in first', () => {
    const m = translated();
    m.pageOut(3);
    fault(m);
    expect(m.port.gprs.slice(3, 5)).toEqual([BigInt(HCALL.H_SVM_PAGE_IN), BigInt(3 * PAGE)]);
    m.hypervise();
    fault(m);
    expect(Number(m.port.gpr(3))).toBe(HCALL.H_LOGICAL_CI_LOAD);
  });

  it('tables that do not have the address any more: the SVM goes on, and faults by itself', () => {
    const m = translated();
    big(m, ROOT, 0n);
    fault(m);
    expect(m.secure).toBe(true);
    expect(m.seen).toEqual([]);
    expect(m.nia).toBe(VIRTUAL);
  });
});

describe('UV_PAGE_IN’s flags are the SVM’s mapping (3.10)', () => {
  const [INHIBITED, ENABLED, READ_ONLY] = [1, 2, 4];
  const pageInWith = (flags: number) => {
    const m = secureMachine();
    m.pageOut(3);
    const code = m.fromHypervisor(() => m.ultracall('UV_PAGE_IN', LPID, m.ra(3), 3 * PAGE, flags, 16));
    return { m, code };
  };

  it.each([
    [0, 0n, true],
    [ENABLED, 0n, true],
    [INHIBITED, 0x20n, true],
    [READ_ONLY, 0n, false],
    [ENABLED | READ_ONLY, 0n, false],
    [INHIBITED | READ_ONLY, 0x20n, false],
  ])('flags %i: ATT 0x%s, writable %s', (flags, att, writable) => {
    const { m, code } = pageInWith(flags);
    expect(code).toBe(0);
    expect(m.leaf(3) & PTE.ATT).toBe(att);
    expect((m.leaf(3) & PTE.WRITE) !== 0n).toBe(writable);
    // They last until the page comes in anew.
    m.pageOut(3);
    m.pageIn(3);
    expect(m.leaf(3) & (PTE.ATT | PTE.WRITE)).toBe(PTE.WRITE);
  });

  it('a shared page has them too', () => {
    const m = secureMachine();
    m.ultracall('UV_SHARE_PAGE', 4, 1);
    m.hypervise();
    m.fromHypervisor(() => m.ultracall('UV_PAGE_IN', LPID, m.ra(4), 4 * PAGE, READ_ONLY, 16));
    expect(m.leaf(4) & PTE.WRITE).toBe(0n);
    expect(m.leaf(4) & PTE.SHARED).toBe(PTE.SHARED);
  });

  it('a store to a read-only page is the SVM’s own data storage interrupt; the value goes nowhere', () => {
    const { m } = pageInWith(READ_ONLY);
    m.seen.length = 0;
    m.port.setSpr(SPR.HDAR, BigInt(3 * PAGE + 8));
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.port.setSpr(SPR.HDSISR, DSISR.PROTECTION | DSISR.STORE);
    m.interrupt(VECTOR.HV_DATA_STORAGE, m.nia, m.port.currentMsr);
    expect(m.nia).toBe(0x300n);
    expect(m.port.spr(SPR.DSISR)).toBe(DSISR.PROTECTION | DSISR.STORE);
    expect(m.port.spr(SPR.DAR)).toBe(BigInt(3 * PAGE + 8));
    expect(m.seen).toEqual([]);
  });

  it('a fetch from a cache-inhibited page is its instruction storage interrupt', () => {
    const { m } = pageInWith(INHIBITED);
    m.seen.length = 0;
    m.port.setSpr(SPR.ASDR, BigInt(3 * PAGE));
    m.interrupt(VECTOR.HV_INSTRUCTION_STORAGE, BigInt(3 * PAGE), m.port.currentMsr, DSISR.NO_EXECUTE);
    expect(m.nia).toBe(0x400n);
    expect(m.port.spr(SPR.SRR1) & DSISR.NO_EXECUTE).toBe(DSISR.NO_EXECUTE);
    expect(m.seen).toEqual([]);
  });
});
