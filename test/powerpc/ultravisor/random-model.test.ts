import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { type Gfn, HCALL, MSR, SECURE_ADDRESS_BIT, SPR, VECTOR } from '../../../src/powerpc/abi.ts';
import { pageAt } from '../../../src/powerpc/ultravisor/pages.ts';
import { checkInvariants, checkOwners, SECRET } from './invariants.ts';
import { GUEST_FRAMES, HV_PATE, LPID, Machine, PAGE, SLOT } from './machine.ts';
import { type Answer, type Asked, type ModelPage, ReferenceModel, type State } from './reference-model.ts';

/** `CLOISTER_RUNS=2000 CLOISTER_SEED=7 npx vitest run test/powerpc/ultravisor/random-model.test.ts` looks further. */
const RUNS = Number(process.env.CLOISTER_RUNS ?? 25);
const SEED = Number(process.env.CLOISTER_SEED ?? 1);

const POOL = [0x300000, 0x310000, 0x320000, 0x330000, 0x340000];
const NORMAL_BYTES = 4 << 20;
/** A slot that can come and go beside the first one. */
const PLUGGED = { first: 10, pages: 2, id: 4 };
const FRAMES = [...Array(GUEST_FRAMES).keys(), PLUGGED.first, PLUGGED.first + 1];

type Args = readonly bigint[];
type Step =
  | { readonly do: 'UV_PAGE_IN' | 'UV_PAGE_OUT' | 'UV_PAGE_INVAL'; readonly args: Args }
  | { readonly do: 'UV_REGISTER_MEM_SLOT' | 'UV_UNREGISTER_MEM_SLOT'; readonly args: Args }
  | { readonly do: 'UV_SVM_TERMINATE'; readonly args: Args }
  | { readonly do: 'UV_SHARE_PAGE' | 'UV_UNSHARE_PAGE'; readonly args: Args }
  | { readonly do: 'UV_UNSHARE_ALL_PAGES' }
  | { readonly do: 'UV_WRITE_PATE' }
  | { readonly do: 'hypercall' }
  | { readonly do: 'touch' | 'write'; readonly gfn: number }
  /** The hypervisor writes to one of its pages. */
  | { readonly do: 'store'; readonly ra: number }
  /** It does what it was asked for with a page of the pool, and says so; or only says something. */
  | { readonly do: 'serve'; readonly ra: number }
  | { readonly do: 'return'; readonly result: number };

const wild = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const mostly = (good: fc.Arbitrary<bigint>, ...bad: readonly (bigint | number)[]): fc.Arbitrary<bigint> =>
  fc.oneof(
    { weight: 30, arbitrary: good },
    { weight: 2, arbitrary: fc.constantFrom(...bad.map((value) => BigInt.asUintN(64, BigInt(value)))) },
    { weight: 1, arbitrary: wild },
  );
const frame = fc.constantFrom(...FRAMES);
const lpid = mostly(fc.constant(BigInt(LPID)), LPID + 1, 0, 4096 + LPID, -1);
const gpa = mostly(
  frame.map((gfn) => BigInt(gfn * PAGE)),
  ...[GUEST_FRAMES * PAGE, 3 * PAGE + 1, 3 * PAGE + 4096, 1n << 60n, -PAGE],
);
const page = fc.constantFrom(...POOL);
const ra = mostly(page.map(BigInt), 0, POOL[0] + 4096, SECURE_ADDRESS_BIT, SECURE_ADDRESS_BIT + PAGE, NORMAL_BYTES, -1);
const order = mostly(fc.constant(16n), 0, 12, 17, 21);
const call = <const N extends Step['do']>(name: N, weight: number, ...args: readonly fc.Arbitrary<bigint>[]) => ({
  weight,
  arbitrary: fc.tuple(...args).map((values) => ({ do: name, args: values }) as unknown as Step),
});
const plain = (weight: number, step: fc.Arbitrary<Step>) => ({ weight, arbitrary: step });
const gfn = mostly(frame.map(BigInt), GUEST_FRAMES, 1n << 36n, -1);
const count = mostly(fc.constantFrom(1n, 1n, 1n, 2n, 3n), 0, GUEST_FRAMES, 1n << 36n, -1);

const step: fc.Arbitrary<Step> = fc.oneof(
  call('UV_PAGE_IN', 8, lpid, ra, gpa, mostly(fc.constant(0n), 1, 2, 3, 4, 8), order),
  call('UV_PAGE_OUT', 8, lpid, ra, gpa, mostly(fc.constant(0n), 1, 2, 0x100), order),
  call('UV_PAGE_INVAL', 5, lpid, gpa, order),
  call(
    ...(['UV_REGISTER_MEM_SLOT', 3, lpid] as const),
    mostly(fc.constant(BigInt(PLUGGED.first * PAGE)), 0, 7 * PAGE, 11 * PAGE, 0x1000, 1n << 60n),
    mostly(fc.constant(BigInt(PLUGGED.pages * PAGE)), 0, PAGE, PAGE / 2, -PAGE, 1n << 52n),
    mostly(fc.constant(0n), 1, -1),
    mostly(fc.constant(BigInt(PLUGGED.id)), SLOT, 512, -1),
  ),
  call('UV_UNREGISTER_MEM_SLOT', 1, lpid, mostly(fc.constant(BigInt(PLUGGED.id)), 5, 512, -1)),
  call('UV_SVM_TERMINATE', 1, mostly(fc.constantFrom(0n, 4096n), LPID, LPID + 1, -1)),
  call('UV_SHARE_PAGE', 10, gfn, count),
  call('UV_UNSHARE_PAGE', 6, gfn, count),
  plain(1, fc.constant({ do: 'UV_UNSHARE_ALL_PAGES' })),
  plain(1, fc.constant({ do: 'UV_WRITE_PATE' })),
  plain(2, fc.constant({ do: 'hypercall' })),
  plain(
    8,
    frame.map((n) => ({ do: 'touch', gfn: n })),
  ),
  plain(
    8,
    frame.map((n) => ({ do: 'write', gfn: n })),
  ),
  plain(
    2,
    page.map((at) => ({ do: 'store', ra: at })),
  ),
  plain(
    18,
    page.map((at) => ({ do: 'serve', ra: at })),
  ),
  plain(
    5,
    fc.constantFrom(0, 0, -4).map((result) => ({ do: 'return', result })),
  ),
);

/** The Ultravisor and the model of it, side by side. */
class Twins {
  readonly m = new Machine({ secureFrames: 40 });
  readonly model = new ReferenceModel(LPID, { id: SLOT, pages: GUEST_FRAMES }, NORMAL_BYTES);
  /** Every ciphertext that ever left. */
  readonly ciphertexts: Uint8Array[] = [];
  #writes = 0;

  constructor() {
    const { m, model } = this;
    m.esm();
    m.nia = 0x20100n;
    m.calls.length = 0;
    for (let n = 0; n < GUEST_FRAMES; n++) {
      const state = m.state(n) as State;
      const implicit = state === 'SHARED_IMPLICIT';
      model.pages.set(n, {
        state,
        contents: implicit ? null : m.leaf(n) === 0n ? new Uint8Array(PAGE) : m.guestPage(n),
        hvPage: implicit ? m.ra(n) : null,
        ciphertext: null,
      });
    }
    for (const at of POOL) model.normal.set(at, m.hv.read(at as RealAddress, PAGE));
  }

  run(step: Step): void {
    switch (step.do) {
      case 'UV_PAGE_IN':
      case 'UV_PAGE_OUT':
      case 'UV_PAGE_INVAL':
      case 'UV_REGISTER_MEM_SLOT':
      case 'UV_UNREGISTER_MEM_SLOT':
      case 'UV_SVM_TERMINATE':
        this.#hypervisorCall(step.do, step.args);
        break;
      case 'UV_WRITE_PATE':
        if (this.model.vm !== 'NORMAL')
          this.#refused('UV_WRITE_PATE', [BigInt(LPID), HV_PATE.dw0 ^ 0x100000n, HV_PATE.dw1]);
        break;
      case 'store':
        this.#store(step.ra);
        break;
      case 'serve':
        this.#serve(step.ra);
        break;
      case 'return':
        if (this.model.operation !== null) this.#return(step.result);
        break;
      default:
        if (this.m.secure) this.#guest(step);
    }
    this.compare();
  }

  #guest(step: Step): void {
    const { m, model } = this;
    switch (step.do) {
      case 'UV_SHARE_PAGE':
        this.#expectAnswer(model.share(step.args[0], step.args[1]), () => m.ultracall(step.do, ...step.args));
        break;
      case 'UV_UNSHARE_PAGE':
        this.#expectAnswer(model.unshare(step.args[0], step.args[1]), () => m.ultracall(step.do, ...step.args));
        break;
      case 'UV_UNSHARE_ALL_PAGES':
        this.#expectAnswer(model.unshareAll(), () => m.ultracall(step.do));
        break;
      case 'hypercall':
        this.#expectAnswer(model.hypercall(), () => m.hypercall(HCALL.H_CPPR, 0));
        break;
      case 'touch':
        this.#touch(step.gfn);
        break;
      case 'write':
        this.#write(step.gfn);
    }
  }

  #touch(n: number): void {
    const { m, model } = this;
    if (!model.pages.has(n)) return;
    m.port.setGpr(3, 0n);
    this.#expectAnswer(model.touch(n), () => {
      m.port.setSpr(SPR.ASDR, BigInt(n * PAGE));
      m.interrupt(VECTOR.HV_DATA_STORAGE, m.nia, m.port.currentMsr | MSR.DR | MSR.IR);
    });
  }

  /** What the SVM writes is secret where it is secure, and public where it shares. */
  #write(n: number): void {
    const { m, model } = this;
    const known = model.pages.get(n);
    if (known === undefined || m.leaf(n) === 0n) return;
    const bytes = new Uint8Array(PAGE).fill(++this.#writes & 0xff);
    if (known.state === 'SECURE') bytes.set(SECRET, 100 + this.#writes);
    m.writeGuest(n * PAGE, bytes);
    model.write(known, bytes);
  }

  #store(at: number): void {
    const bytes = new Uint8Array(PAGE).fill(++this.#writes & 0xff);
    this.m.hv.write(at as RealAddress, bytes);
    this.model.normal.set(at, bytes);
  }

  /** An honest hypervisor: it gives a page, or the ciphertext that it has. */
  #serve(at: number): void {
    const { m, model } = this;
    if (model.operation === null) return;
    const asked = this.#asked;
    if (asked === 'hypercall' || asked === null) {
      this.#return(0);
      return;
    }
    const n = asked === 'fault' ? Number(m.port.spr(SPR.ASDR)) / PAGE : asked.gfn;
    const ciphertext = model.pages.get(n)?.ciphertext;
    if (ciphertext != null) {
      m.hv.write(at as RealAddress, ciphertext);
      model.normal.set(at, ciphertext);
    }
    this.#hypervisorCall('UV_PAGE_IN', [BigInt(LPID), BigInt(at), BigInt(n * PAGE), 0n, 16n]);
    this.#return(0);
  }

  #asked: Asked | null = null;

  #return(result: number): void {
    const { m, model } = this;
    const answer = model.returned(result);
    const before = m.port.gpr(3);
    if (answer !== 'killed' && 'code' in answer && answer.code === null) {
      m.uvReturn(result);
      expect(m.secure).toBe(true);
      return;
    }
    expect(before).toBeTypeOf('bigint');
    this.#expectAnswer(answer as Answer, () => m.uvReturn(result));
  }

  #expectAnswer(answer: Answer, act: () => void): void {
    const { m } = this;
    act();
    this.#asked = null;
    if (answer === 'killed') {
      expect(m.svmState()).toBe('DEAD');
      expect(m.inHypervisor).toBe(true);
      this.#lastWords();
    } else if ('code' in answer) {
      expect(m.secure).toBe(true);
      expect(BigInt.asIntN(64, m.port.gpr(3))).toBe(BigInt(answer.code));
    } else {
      expect(m.inHypervisor).toBe(true);
      this.#asked = answer.asked;
      if (typeof answer.asked === 'string') return;
      const { gfn: asked, flags } = answer.asked;
      const registers = [3, 4, 5, 6].map((r) => m.port.gpr(r));
      expect(registers).toEqual([BigInt(HCALL.H_SVM_PAGE_IN), BigInt(asked * PAGE), BigInt(flags), 16n]);
    }
  }

  /** A killed SVM calls RTAS ibm,os-term (6.8) through one of its shared pages. */
  #lastWords(): void {
    const { m, model } = this;
    for (const { state, hvPage } of model.pages.values()) {
      const bytes = hvPage === null ? undefined : model.normal.get(hvPage);
      if (state !== 'SHARED_IMPLICIT' || hvPage === null || bytes === undefined) continue;
      const now = m.hv.read(hvPage as RealAddress, PAGE);
      if (Buffer.compare(now, bytes) === 0) continue;
      expect(Buffer.from(now).subarray(0, 12).toString('hex')).toBe('0000201f0000000100000001');
      expectBytes(now.subarray(20), bytes.subarray(20));
      model.normal.set(hvPage, now);
    }
  }

  #hypervisorCall(name: Extract<Step, { readonly args: Args }>['do'], args: Args): void {
    const { m, model } = this;
    const running = m.secure;
    const before = this.#dump();
    const out: { page: ModelPage; ra: number; comesBack: boolean }[] = [];
    const expected = {
      UV_PAGE_IN: () => model.pageIn(args[0], args[1], args[2], args[3], args[4]),
      UV_PAGE_OUT: () => model.pageOut(args, (p, at, comesBack) => out.push({ page: p, ra: at, comesBack })),
      UV_PAGE_INVAL: () => model.pageInval(args[0], args[1], args[2]),
      UV_REGISTER_MEM_SLOT: () => model.registerSlot(args[0], args[1], args[2], args[3], args[4]),
      UV_UNREGISTER_MEM_SLOT: () => model.unregisterSlot(args[0], args[1]),
      UV_SVM_TERMINATE: () => model.terminate(args[0], running),
      UV_SHARE_PAGE: () => 0,
      UV_UNSHARE_PAGE: () => 0,
    }[name]();
    expect(this.#call(name, args), `${name} ${args.join(' ')}`).toBe(expected);
    if (expected !== 0) this.#expectUnchanged(before);
    for (const { page: p, ra: at, comesBack } of out) this.#leaves(p, at, comesBack);
  }

  /** Ciphertext has left to a page of the hypervisor's. */
  #leaves(p: ModelPage, at: number, comesBack: boolean): void {
    const ciphertext = this.m.hv.read(at as RealAddress, PAGE);
    expect(ciphertext).not.toEqual(p.contents);
    expect(this.ciphertexts.some((old) => Buffer.compare(old, ciphertext) === 0)).toBe(false);
    this.ciphertexts.push(ciphertext);
    this.model.normal.set(at, ciphertext);
    if (comesBack) p.ciphertext = ciphertext;
  }

  #refused(name: 'UV_WRITE_PATE', args: Args): void {
    const before = this.#dump();
    expect(this.#call(name, args)).toBe(this.model.otherPate);
    this.#expectUnchanged(before);
  }

  /** The call's code; no register but R3 may be another afterwards. */
  #call(name: Extract<Step, { readonly args: Args }>['do'] | 'UV_WRITE_PATE', args: Args): number {
    const { m } = this;
    return m.fromHypervisor(() => {
      for (let n = 12; n > 3; n--) m.port.setGpr(n, BigInt(n));
      const code = m.ultracall(name, ...args);
      const kept = [...m.port.gprs.keys()].slice(4 + args.length, 13);
      expect(kept.map((n) => m.port.gpr(n))).toEqual(kept.map(BigInt));
      return code;
    });
  }

  /** All memory, and the Ultravisor's books. */
  #dump(): { readonly memory: Buffer; readonly books: string } {
    const { state } = this.m.uv.save();
    const books = JSON.stringify(state, (_, value) => {
      if (value instanceof Map || value instanceof Set) return [...value];
      return typeof value === 'bigint' ? `${value}` : value;
    });
    return { memory: Buffer.from(this.m.memory.store.bytes), books };
  }

  #expectUnchanged({ memory, books }: { readonly memory: Buffer; readonly books: string }): void {
    expect(this.#dump().books).toBe(books);
    expect(Buffer.compare(memory, this.m.memory.store.bytes)).toBe(0);
  }

  /** States, mappings, and contents on both sides. */
  compare(): void {
    const { m, model } = this;
    const svm = m.uv.save().state.svms.get(LPID);
    expect(m.svmState()).toBe(model.vm);
    if (svm === undefined) expect(m.pate()).toEqual([0n, 0n]);
    else {
      for (const n of FRAMES) {
        const known = model.pages.get(n);
        const real = pageAt(svm, n as Gfn);
        expect(real?.state, `frame ${n}`).toBe(known?.state);
        if (known === undefined || real === undefined) continue;
        if ('hvPage' in real) expect(real.hvPage).toBe(known.hvPage);
        const reads = model.reads(known);
        const leaf = m.leaf(n);
        // A page of zeros has no frame until it is touched; what is being shared stays mapped until it is.
        if (leaf !== 0n && reads !== undefined) expectBytes(m.guestPage(n), reads);
        if (reads === undefined && !TWO_SIDED.has(known.state)) expect(leaf, `frame ${n}`).toBe(0n);
        if ('frame' in real && known.contents !== null) expectBytes(this.#frame(real.frame), known.contents);
      }
    }
    for (const [at, bytes] of model.normal) expectBytes(m.hv.read(at as RealAddress, PAGE), bytes);
    checkOwners(m);
  }

  #frame(at: RealAddress | null): Uint8Array {
    return at === null ? new Uint8Array(PAGE) : this.m.all.read(at, PAGE);
  }
}

/** States in which the secure page is still mapped. */
const TWO_SIDED: ReadonlySet<State> = new Set<State>(['HV_SHARING', 'HV_SHARED', 'HV_SHARED_INV']);

function expectBytes(real: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(real, expected) === 0) return;
  const at = real.findIndex((byte, i) => byte !== expected[i]);
  expect(`byte ${at} is ${real[at]}`).toBe(`byte ${at} is ${expected[at]}`);
}

/** Runs random sequences; `plant` puts a fault into each machine. */
function explore(options: fc.Parameters<[readonly Step[]]>, plant: (m: Machine) => void = () => {}): void {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50, size: 'max' }), (steps) => {
      const twins = new Twins();
      plant(twins.m);
      for (const one of steps) twins.run(one);
      checkInvariants(twins.m);
    }),
    options,
  );
}

/** A fault in the answer to an ultracall: `twist` gets its number and code, and gives the code that the caller sees. */
function twisted(m: Machine, twist: (number: Parameters<Machine['ultracall']>[0], code: number) => number): void {
  const { ultracall } = m;
  m.ultracall = (number, ...args) => twist(number, ultracall.call(m, number, ...args));
}

/** Faults of an Ultravisor that the comparison must find. */
const FAULTS: Readonly<Record<string, (m: Machine) => void>> = {
  'a refused call changes a byte': (m) =>
    twisted(m, (_, code) => {
      if (code < 0) m.hv.write((POOL[4] + 7) as RealAddress, Uint8Array.of(0x5a));
      return code;
    }),
  'a page goes out twice': (m) => twisted(m, (number, code) => (number === 'UV_PAGE_OUT' && code === -4 ? 0 : code)),
  'a page that went out stays mapped': (m) => {
    const { ultracall } = m;
    m.ultracall = (number, ...args) => {
      const n = number === 'UV_PAGE_OUT' ? Number(args[2]) / PAGE : -1;
      const leaf = FRAMES.includes(n) ? m.leaf(n) : 0n;
      const code = ultracall.call(m, number, ...args);
      if (leaf !== 0n && m.svmState() === 'SECURE' && m.leaf(n) === 0n) m.setLeaf(n, leaf);
      return code;
    };
  },
};

describe('random sequences of ultracalls, faults and answers, against a model from the tables of power-pef.md', () => {
  it('each code, state, mapping and content is as the model has it; a refused call changed nothing', () => {
    explore({ numRuns: RUNS, seed: SEED });
  });

  it.each(Object.entries(FAULTS))('finds that %s', (_, plant) => {
    expect(() => explore({ numRuns: 20, seed: 1, endOnFailure: true }, plant)).toThrow('Property failed');
  });
});
