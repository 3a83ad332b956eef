import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import {
  HCALL,
  MSR,
  registerToCode,
  SECURE_ADDRESS_BIT,
  SPR,
  ULTRACALLS,
  type Ultracall,
} from '../../../src/powerpc/abi.ts';
import { GUEST_FRAMES, HV_ENTRY, HV_PATE, LPID, type Machine, PAGE, SLOT, secureMachine } from './machine.ts';

/** Codes by the sheet's table 3.2. */
const U = { SUCCESS: 0, BUSY: 1, FUNCTION: -2, PARAMETER: -4, INVALID: -4, RETRY: -5, PERMISSION: -11 };
const [P2, P3, P4, P5, BAD_MODE] = [-55, -56, -57, -58, -59];

const FREE_PAGE = 0x300000;
const HOMER = 1n << 32n;
const SECURE = BigInt(SECURE_ADDRESS_BIT);

/** A bad value for one argument, and the code that it gives. */
interface Bad {
  readonly arg: number;
  readonly value: bigint | number;
  readonly code: number;
}

/** One ultracall: arguments with which it succeeds after `setup`, and bad ones in the order in which the sheet has them checked. */
interface Row {
  readonly call: Ultracall;
  readonly good: readonly (bigint | number)[];
  readonly result?: number;
  readonly setup?: (m: Machine) => void;
  /** What the call that succeeds needs beside. */
  readonly before?: (m: Machine) => void;
  readonly bad: readonly Bad[];
}

const lpid = (code = U.PARAMETER): Bad[] => [
  { arg: 0, value: LPID + 1, code },
  { arg: 0, value: 4096, code },
  { arg: 0, value: -1, code },
];
const realAddress: readonly Bad[] = [
  0,
  0x1234,
  FREE_PAGE + 4096,
  SECURE,
  SECURE | BigInt(PAGE),
  0x40000000,
  1n << 60n,
  -1,
].map((value) => ({ arg: 1, value, code: P2 }));
const address = (arg: number, code: number): Bad[] =>
  [GUEST_FRAMES * PAGE, 3 * PAGE + 1, 3 * PAGE + 4096, 1n << 60n, -PAGE].map((value) => ({ arg, value, code }));
const order = (arg: number, code: number): Bad[] => [0, 12, 15, 17, 21, -1].map((value) => ({ arg, value, code }));
const flags = (...values: readonly (bigint | number)[]): Bad[] => values.map((value) => ({ arg: 3, value, code: P4 }));

/** Sheet 3.4 to 3.17; the codes of a wrong caller are in `wrongCaller`. */
const ROWS: readonly Row[] = [
  {
    call: 'UV_WRITE_PATE',
    good: [LPID + 1, HV_PATE.dw0, HV_PATE.dw1],
    bad: [
      { arg: 0, value: 4096, code: U.PARAMETER },
      { arg: 0, value: -1, code: U.PARAMETER },
      { arg: 1, value: HV_PATE.dw0 | (1n << 60n), code: P2 },
      { arg: 1, value: HV_PATE.dw0 | SECURE, code: P2 },
      { arg: 1, value: (HV_PATE.dw0 & ~0x1fn) | 4n, code: P2 },
      { arg: 2, value: HV_PATE.dw1 | 25n, code: P3 },
      { arg: 2, value: HV_PATE.dw1 | (1n << 62n), code: P3 },
      { arg: 2, value: 0, code: P3 },
    ],
  },
  {
    call: 'UV_RESTRICTED_SPR_WRITE',
    good: [SPR.DAWR0, 0x1234],
    bad: [SPR.LPCR, SPR.PTCR, SPR.SMFCTRL, SPR.USRR0, 0, 1023, -1].map((value) => ({
      arg: 0,
      value,
      code: U.PARAMETER,
    })),
  },
  {
    call: 'UV_RESTRICTED_SPR_READ',
    good: [SPR.CIABR],
    bad: [SPR.LDBAR, SPR.IMC, SPR.SMFCTRL, SPR.USPRG0, -1].map((value) => ({ arg: 0, value, code: U.PARAMETER })),
  },
  {
    call: 'UV_READ_SCOM',
    good: [0, 0x50000],
    bad: [
      { arg: 0, value: 1, code: U.PARAMETER },
      { arg: 0, value: -1, code: U.PARAMETER },
      { arg: 1, value: 1n << 62n, code: U.PARAMETER },
    ],
  },
  {
    call: 'UV_WRITE_SCOM',
    good: [0, 0x50000, 7],
    bad: [
      { arg: 0, value: 1, code: U.PARAMETER },
      { arg: 1, value: 1n << 62n, code: U.PARAMETER },
    ],
  },
  {
    call: 'UV_REGISTER_MEM_SLOT',
    good: [LPID, 0x1000000, 4 * PAGE, 0, SLOT + 1],
    bad: [
      ...lpid(),
      { arg: 1, value: 0x1000001, code: P2 },
      { arg: 1, value: 0x1001000, code: P2 },
      { arg: 1, value: 1n << 60n, code: P2 },
      { arg: 2, value: 0, code: P3 },
      { arg: 2, value: 4096, code: P3 },
      { arg: 2, value: 1n << 52n, code: P3 },
      { arg: 2, value: -PAGE, code: P3 },
      ...flags(1, 0x80, -1),
      { arg: 4, value: SLOT, code: P5 },
      { arg: 4, value: 512, code: P5 },
      { arg: 4, value: -1, code: P5 },
    ],
  },
  {
    call: 'UV_UNREGISTER_MEM_SLOT',
    good: [LPID, SLOT],
    bad: [...lpid(), { arg: 1, value: SLOT + 1, code: P2 }, { arg: 1, value: -1, code: P2 }],
  },
  {
    call: 'UV_PAGE_IN',
    good: [LPID, FREE_PAGE, 3 * PAGE, 0, 16],
    setup: (m) => m.fromHypervisor(() => m.ultracall('UV_PAGE_OUT', LPID, FREE_PAGE, 3 * PAGE, 0, 16)),
    bad: [...order(4, P5), ...flags(3, 7, 8, 0x80, -1), ...realAddress, ...lpid(), ...address(2, P3)],
  },
  {
    call: 'UV_PAGE_OUT',
    good: [LPID, FREE_PAGE, 3 * PAGE, 0, 16],
    bad: [...order(4, P5), ...flags(2, 0x80, 0x100, -1), ...realAddress, ...lpid(), ...address(2, P3)],
  },
  {
    call: 'UV_PAGE_INVAL',
    good: [LPID, 6 * PAGE, 16],
    bad: [...order(2, P3), ...lpid(), ...address(1, P2), { arg: 1, value: 3 * PAGE, code: P2 }],
  },
  {
    call: 'UV_SVM_TERMINATE',
    good: [LPID],
    // No CPU executes in the SVM.
    before: (m) => m.hypercall(HCALL.H_CPPR, 0),
    bad: [
      { arg: 0, value: 0, code: U.PARAMETER },
      { arg: 0, value: LPID + 1, code: U.INVALID },
      { arg: 0, value: 4096, code: U.PARAMETER },
      { arg: 0, value: -1, code: U.PARAMETER },
    ],
  },
  {
    call: 'UV_READ_MEM',
    good: [FREE_PAGE + 24, HOMER, 0xff00, 0x100],
    bad: firmwareBuffer(),
  },
  {
    call: 'UV_WRITE_MEM',
    good: [FREE_PAGE + 24, HOMER, 0xff00, 0x100],
    bad: firmwareBuffer(),
  },
  {
    call: 'UV_SEND_SBE_COMMAND',
    good: [0, 0, 0],
    result: U.FUNCTION,
    bad: [
      { arg: 0, value: 1, code: U.PARAMETER },
      { arg: 1, value: 3, code: U.PARAMETER },
      { arg: 1, value: -1, code: U.PARAMETER },
    ],
  },
  {
    call: 'UV_SHARE_PAGE',
    good: [6, 1],
    bad: range(),
  },
  { call: 'UV_UNSHARE_PAGE', good: [4, 1], bad: range() },
  { call: 'UV_UNSHARE_ALL_PAGES', good: [], bad: [] },
];

function firmwareBuffer(): Bad[] {
  return [
    ...[0, SECURE, 1n << 60n].map((value) => ({ arg: 0, value, code: U.PARAMETER })),
    { arg: 3, value: 0, code: U.PARAMETER },
    ...[1, 0, 2n << 32n, HOMER | 1n, -1].map((value) => ({ arg: 1, value, code: U.PERMISSION })),
    ...[0xff01, 0x10000, 1n << 40n, -1].map((value) => ({ arg: 2, value, code: U.PERMISSION })),
    ...[0x101, 0x10000, -1].map((value) => ({ arg: 3, value, code: U.PERMISSION })),
  ];
}

function range(): Bad[] {
  return [
    ...[GUEST_FRAMES, 1n << 36n, -1].map((value) => ({ arg: 0, value, code: U.PARAMETER })),
    ...[0, GUEST_FRAMES, 1n << 36n, -1, (1n << 64n) - 3n].map((value) => ({ arg: 1, value, code: P2 })),
  ];
}

/** Calls that an SVM's own kernel makes (3.3). */
const OF_SVM: ReadonlySet<Ultracall> = new Set(['UV_SHARE_PAGE', 'UV_UNSHARE_PAGE', 'UV_UNSHARE_ALL_PAGES']);

/** MSR[S,HV,PR] of every caller that the CPU model can bring to `sc 2`, but the Ultravisor itself (1.2). */
const CALLERS = {
  'guest kernel': 0n,
  'guest user': MSR.PR,
  hypervisor: MSR.HV,
  'host user': MSR.HV | MSR.PR,
  'svm kernel': MSR.S,
  'svm user': MSR.S | MSR.PR,
} as const;
type Caller = keyof typeof CALLERS;

/** What a caller who may not make the call gets (3.3, 3.14); undefined if it may. */
function wrongCaller(call: Ultracall, caller: Caller): number | undefined {
  if (!OF_SVM.has(call)) return caller === 'hypervisor' ? undefined : U.PERMISSION;
  if (caller === 'svm kernel') return undefined;
  return caller === 'svm user' ? U.PERMISSION : U.INVALID;
}

const rows = ROWS.map((row) => [row.call, row] as const);

function prepare(row: Row): Machine {
  const m = secureMachine({ secureFrames: 20 });
  // Frame 6 is shared by the SVM, for what needs a shared page.
  if (row.call === 'UV_PAGE_INVAL') {
    m.ultracall('UV_SHARE_PAGE', 6, 1);
    m.hypervise();
  }
  row.setup?.(m);
  m.port.setSpr(SPR.CIABR, 0x55n);
  return m;
}

function callAs(m: Machine, caller: Caller, call: Ultracall, args: readonly (bigint | number)[]): number {
  const secure = (CALLERS[caller] & MSR.S) !== 0n;
  const act = () => {
    m.port.currentMsr = secure || caller === 'hypervisor' ? m.port.currentMsr : HV_ENTRY.msr;
    m.port.currentMsr = (m.port.currentMsr & ~(MSR.HV | MSR.PR | MSR.S)) | CALLERS[caller];
    return m.ultracall(call, ...args);
  };
  return secure ? act() : m.fromHypervisor(act);
}

const owner = (call: Ultracall): Caller => (OF_SVM.has(call) ? 'svm kernel' : 'hypervisor');

describe('every ultracall, by table: negative space (3.3 to 3.17)', () => {
  it('the table has every call but UV_ESM, UV_RETURN and UV_ESMB_GET_FILE, which have tests of their own', () => {
    const missing = Object.keys(ULTRACALLS).filter((call) => !ROWS.some((row) => row.call === call));
    expect(missing).toEqual(['UV_ESM', 'UV_RETURN', 'UV_ESMB_GET_FILE']);
  });

  it.each(rows)('%s succeeds with good arguments, so that a refusal below is for its own reason', (call, row) => {
    const m = prepare(row);
    row.before?.(m);
    const result = callAs(m, owner(call), call, row.good);
    if (OF_SVM.has(call)) m.hypervise();
    expect(OF_SVM.has(call) ? registerToCode(m.port.gpr(3)) : result).toBe(row.result ?? U.SUCCESS);
  });

  it.each(rows)('%s: wrong privilege from each MSR[S,HV,PR] comes first, with good and bad arguments', (call, row) => {
    for (const caller of Object.keys(CALLERS) as Caller[]) {
      const code = wrongCaller(call, caller);
      if (code === undefined) continue;
      const m = prepare(row);
      const before = state(m);
      expect(callAs(m, caller, call, row.good), caller).toBe(code);
      if (row.bad.length > 0) expect(callAs(m, caller, call, withBad(row.good, row.bad[0])), caller).toBe(code);
      expect(state(m), caller).toBe(before);
    }
  });

  it.each(rows)('%s: each bad argument gives its code and changes nothing', (call, row) => {
    const m = prepare(row);
    const before = state(m);
    for (const bad of row.bad) {
      const kept = [...m.port.gprs];
      const text = `${ULTRACALLS[call].args[bad.arg]} = ${bad.value}`;
      expect(callAs(m, owner(call), call, withBad(row.good, bad)), text).toBe(bad.code);
      expect(state(m), text).toBe(before);
      // An output register of a refused call is as it was: only R3 has the code.
      if (owner(call) === 'svm kernel') expect(m.port.gprs.slice(13), text).toEqual(kept.slice(13));
    }
  });

  it.each(rows)('%s: of two bad arguments the one that is checked first gives the code', (call, row) => {
    const m = prepare(row);
    const before = state(m);
    for (const [i, first] of row.bad.entries()) {
      for (const second of row.bad.slice(i + 1)) {
        if (first.arg === second.arg || first.code === second.code) continue;
        const args = withBad(withBad(row.good, second), first);
        const text = `${ULTRACALLS[call].args[first.arg]} = ${first.value}, ${ULTRACALLS[call].args[second.arg]} = ${second.value}`;
        expect(callAs(m, owner(call), call, args), text).toBe(first.code);
      }
    }
    expect(state(m)).toBe(before);
  });

  it.each(rows.filter(([call]) => !OF_SVM.has(call)))('%s inside a transaction: U_BAD_MODE (3.1)', (call, row) => {
    for (const ts of [MSR.TS_T, MSR.TS_S]) {
      const m = prepare(row);
      const before = state(m);
      const code = m.fromHypervisor(() => {
        m.port.currentMsr = HV_ENTRY.msr | ts;
        return m.ultracall(call, ...row.good);
      });
      expect(code).toBe(BAD_MODE);
      expect(state(m)).toBe(before);
    }
  });

  it.each([0xf100, 0xf154, 0xf158, 0xf1fc, 0xf000, 0, 0xffff])('number 0x%x: U_FUNCTION from everybody', (number) => {
    for (const caller of Object.keys(CALLERS) as Caller[]) {
      const m = secureMachine();
      const before = state(m);
      expect(callAs(m, caller, number as unknown as Ultracall, [1, 2, 3]), caller).toBe(U.FUNCTION);
      expect(state(m)).toBe(before);
    }
  });

  it('a number with bits above the low 16 is no known call', () => {
    const m = secureMachine();
    expect(m.ultracall(0x1_f130, 6, 1)).toBe(U.FUNCTION);
    expect(m.ultracall(2 ** 32 + 0xf130, 6, 1)).toBe(U.FUNCTION);
  });
});

describe('what the small calls do', () => {
  it('UV_RESTRICTED_SPR_WRITE and _READ: the debug registers, LDBAR and IMC (3.5)', () => {
    const m = secureMachine();
    m.fromHypervisor(() => {
      for (const spr of [SPR.DAWR0, SPR.DAWRX0, SPR.CIABR]) {
        expect(m.ultracall('UV_RESTRICTED_SPR_WRITE', spr, 0x1000 + spr)).toBe(0);
        expect(m.ultracall('UV_RESTRICTED_SPR_READ', spr)).toBe(0);
        expect(m.port.gpr(5)).toBe(BigInt(0x1000 + spr));
      }
      for (const spr of [SPR.LDBAR, SPR.IMC]) {
        expect(m.ultracall('UV_RESTRICTED_SPR_WRITE', spr, 0x77)).toBe(0);
        expect(m.port.spr(spr)).toBe(0x77n);
      }
    });
  });

  it('SCOMs: what was written is read, everything else is zero; a bounded number of them is kept (3.6)', () => {
    const m = secureMachine();
    m.fromHypervisor(() => {
      expect(m.ultracall('UV_READ_SCOM', 0, 0x5012345)).toBe(0);
      expect(m.port.gpr(4)).toBe(0n);
      expect(m.ultracall('UV_WRITE_SCOM', 0, 0x5012345, 0xdeadbeefn)).toBe(0);
      expect(m.ultracall('UV_READ_SCOM', 0, 0x5012345)).toBe(0);
      expect(m.port.gpr(4)).toBe(0xdeadbeefn);
      let n = 1;
      while (m.ultracall('UV_WRITE_SCOM', 0, 0x6000000 + n, n) === U.SUCCESS) n++;
      expect(n).toBe(4096);
      expect(m.ultracall('UV_WRITE_SCOM', 0, 0x7000000, 1)).toBe(U.BUSY);
      expect(m.ultracall('UV_WRITE_SCOM', 0, 0x5012345, 2)).toBe(U.SUCCESS);
    });
  });

  it('UV_WRITE_MEM and _READ_MEM: stop-state information goes in and comes out, and is no normal memory (3.7)', () => {
    const m = secureMachine();
    const [from, to] = [m.newPage(), m.newPage()];
    m.hv.write(from, Buffer.from('restore SPR 318'));
    m.fromHypervisor(() => {
      expect(m.ultracall('UV_READ_MEM', to, HOMER, 0x8000, 15)).toBe(0);
      expect([...m.hv.read(to, 15)]).toEqual(new Array(15).fill(0));
      expect(m.ultracall('UV_WRITE_MEM', from, HOMER, 0x8000, 15)).toBe(0);
      expect(m.ultracall('UV_READ_MEM', to, HOMER, 0x8008, 7)).toBe(0);
    });
    expect(Buffer.from(m.hv.read(to, 7)).toString()).toBe('SPR 318');
  });

  it('a firmware buffer that ends outside of memory: U_PARAMETER, nothing copied', () => {
    const m = secureMachine();
    const last = ((4 << 20) - 8) as RealAddress;
    const before = m.dump();
    expect(m.fromHypervisor(() => m.ultracall('UV_READ_MEM', last, HOMER, 0, 9))).toBe(U.PARAMETER);
    expect(m.dump()).toBe(before);
    expect(m.fromHypervisor(() => m.ultracall('UV_READ_MEM', last, HOMER, 0, 8))).toBe(U.SUCCESS);
  });
});

function withBad(good: readonly (bigint | number)[], { arg, value }: Bad): (bigint | number)[] {
  return good.map((old, i) => (i === arg ? value : old));
}

/** Everything that a refused call must leave: the Ultravisor's books, all memory, and the registers that it could reach. */
function state(m: Machine): string {
  const sprs = [SPR.DAWR0, SPR.DAWRX0, SPR.CIABR, SPR.LDBAR, SPR.IMC, SPR.PTCR, SPR.LPIDR, SPR.PIDR];
  return `${m.dump()} ${sprs.map((spr) => m.port.spr(spr)).join()} ${m.port.invalidated.length}`;
}
