import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HCALL, MSR, SECURE_ADDRESS_BIT, SPR, VECTOR } from '../../../src/powerpc/abi.ts';
import { checkInvariants, SECRET } from './invariants.ts';
import { GUEST_FRAMES, LPID, Machine, PAGE } from './machine.ts';

/** Values that make calls meaningful more often than chance, and hostile ones. */
const value = fc.oneof(
  fc.constantFrom(0n, 1n, 3n, 16n, BigInt(LPID), BigInt(LPID + 1), 0x300000n, 0x310000n, BigInt(SECURE_ADDRESS_BIT)),
  fc.integer({ min: 0, max: GUEST_FRAMES + 1 }).map((gfn) => BigInt(gfn * PAGE)),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const move = fc.record({
  call: fc.constantFrom('UV_PAGE_IN', 'UV_PAGE_OUT', 'UV_PAGE_INVAL', 'UV_REGISTER_MEM_SLOT', 'UV_WRITE_PATE'),
  gfn: fc.integer({ min: 0, max: GUEST_FRAMES }),
  page: fc.constantFrom(0x300000, 0x310000, 0x320000),
});

type Action = { readonly kind: string; readonly run: (m: Machine) => void };
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: move.map(({ call, gfn, page }) => ({
      kind: `${call} of frame ${gfn}, page 0x${page.toString(16)}`,
      run: (m: Machine) => {
        const args = call === 'UV_PAGE_INVAL' ? [LPID, gfn * PAGE, 16] : [LPID, page, gfn * PAGE, 0, 16];
        m.fromHypervisor(() => m.ultracall(call as 'UV_PAGE_IN', ...args));
      },
    })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ number: fc.integer({ min: 0, max: 20 }), args: fc.array(value, { maxLength: 6 }) })
      .map((x) => ({
        kind: `call ${x.number} with ${x.args}`,
        run: (m: Machine) => {
          const number = 0xf100 + 4 * x.number;
          if (number === 0xf11c || number === 0xf13c) return;
          m.fromHypervisor(() => m.ultracall(number, ...x.args));
        },
      })),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ share: fc.boolean(), gfn: fc.integer({ min: 0, max: 7 }), count: fc.integer({ min: 0, max: 3 }) })
      .map((x) => ({
        kind: `${x.share ? 'share' : 'unshare'} ${x.count} from ${x.gfn}`,
        run: (m: Machine) => {
          if (m.secure) m.ultracall(x.share ? 'UV_SHARE_PAGE' : 'UV_UNSHARE_PAGE', x.gfn, x.count);
        },
      })),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: 7 }).map((gfn) => ({
      kind: `touch ${gfn}`,
      run: (m: Machine) => {
        if (!m.secure) return;
        m.port.setSpr(SPR.ASDR, BigInt(gfn * PAGE));
        m.interrupt(VECTOR.HV_DATA_STORAGE, m.nia, m.port.currentMsr | MSR.DR | MSR.IR);
      },
    })),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(0, 0, 0, -4).map((result) => ({
      kind: `answer ${result}`,
      run: (m: Machine) => {
        if (!m.inHypervisor || m.svmState() === 'DEAD') return;
        m.serve = () => (result === 0 ? undefined : result);
        m.answer();
      },
    })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(HCALL.H_CPPR, HCALL.H_RTAS, HCALL.H_RANDOM, 0x7ffc).map((number) => ({
      kind: `hypercall ${number}`,
      run: (m: Machine) => {
        if (m.secure) m.hypercall(number, 0x100n);
      },
    })),
  },
);

describe('random calls of hypervisor and SVM', () => {
  it('throw nothing, give each secure frame one owner, and let no secret out', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const m = new Machine({ secureFrames: 16 });
        m.esm();
        m.nia = 0x20100n;
        m.writeGuest(2 * PAGE + 100, SECRET);
        m.writeGuest(5 * PAGE, SECRET);
        for (const { run } of actions) run(m);
        checkInvariants(m);
      }),
      { numRuns: 150, seed: 1 },
    );
  });

  it('the check finds a secret in normal memory, and a frame that lost its owner', () => {
    const m = new Machine({ secureFrames: 16 });
    m.esm();
    checkInvariants(m);
    m.hv.write(m.newPage(), SECRET);
    expect(() => checkInvariants(m)).toThrow();
    const n = new Machine({ secureFrames: 16 });
    n.esm();
    const { state, secure } = n.uv.save();
    n.uv.save = () => ({ state, secure: { ...secure, taken: secure.taken.slice(1) } });
    expect(() => checkInvariants(n)).toThrow();
  });
});
