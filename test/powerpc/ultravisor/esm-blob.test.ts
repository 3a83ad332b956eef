import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { readRsaPrivateKey } from '../../../src/crypto/rsa-key.ts';
import { stringValue, u32Value, u64Value } from '../../../src/image/fdt.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HCALL, MSR } from '../../../src/powerpc/abi.ts';
import { blobFor } from '../../../src/powerpc/tenant.ts';
import { oaepPrivateKey } from '../../crypto/oaep-vectors.ts';
import {
  BOOTARGS,
  ESM_NIA,
  guestBlob,
  guestInitrd,
  guestTree,
  HV_PATE,
  INITRD,
  INITRD_AT,
  KERNEL,
  KERNEL_BYTES,
  LPID,
  MACHINE_KEY,
  Machine,
  PAGE,
  PASS_PHRASE,
  PIDR,
  RTAS_AT,
  SLOT,
  secureMachine,
  TREE,
  TREE_BYTES,
  type TreeChanges,
} from './machine.ts';

const H_PARAMETER = 0xfffffffffffffffcn;
const IN_TREE_PAGE = Number(TREE);

/** Puts bytes into the guest's memory while the hypervisor still has it. */
function put(m: Machine, gpa: number, bytes: Uint8Array): void {
  m.hv.write((m.ra(Math.floor(gpa / PAGE)) + (gpa % PAGE)) as RealAddress, bytes);
}

function flip(m: Machine, gpa: number): void {
  const at = (m.ra(Math.floor(gpa / PAGE)) + (gpa % PAGE)) as RealAddress;
  m.hv.write(at, Uint8Array.of((m.hv.read(at, 1)[0] ?? 0) ^ 1));
}

const retree = (changes: TreeChanges) => (m: Machine) => put(m, IN_TREE_PAGE, guestTree(undefined, changes));
const chosen = (name: string, value?: Uint8Array) => retree({ chosen: { [name]: value } });
const rtas = (name: string, value?: Uint8Array) => retree({ rtas: { [name]: value } });
const reblob = (blob: Uint8Array) => (m: Machine) => put(m, IN_TREE_PAGE + INITRD_AT, guestInitrd(blob));
const kit = {
  crypto: nodeProvider,
  machine: readRsaPrivateKey(oaepPrivateKey),
  random: (n: number) => new Uint8Array(n).fill(7),
};
const kernel = { file: 'kernel', bytes: new Uint8Array(KERNEL_BYTES).fill(0x12) };
const image = { kernel, initrd: INITRD, bootargs: BOOTARGS };
const reasonOf = (m: Machine) => m.trace.ofType('vm-state').find(({ to }) => to === 'ABORT')?.reason;

/** What is wrong, and what the Ultravisor says of it (power-pef.md 7.1, 7.4, 7.5; 10.2 #72 to #75). */
const FAILURES: readonly (readonly [string, (m: Machine) => void, RegExp])[] = [
  ['a changed byte of the kernel', (m) => flip(m, Number(KERNEL)), /^not what the blob says: kernel$/],
  ['a changed last byte of the kernel', (m) => flip(m, Number(KERNEL) + KERNEL_BYTES - 1), /says: kernel$/],
  ['a changed byte of RTAS', (m) => flip(m, IN_TREE_PAGE + RTAS_AT), /says: rtas$/],
  [
    'a changed byte of the initrd',
    (m) => flip(m, IN_TREE_PAGE + INITRD_AT + guestInitrd().length - 1),
    /says: initrd$/,
  ],
  ['another command line', chosen('bootargs', stringValue('svm=on init=/bin/sh')), /says: bootargs$/],
  [
    'a command line with more behind a NUL',
    chosen(
      'bootargs',
      Uint8Array.from('svm=on\0\0', (c) => c.charCodeAt(0)),
    ),
    /says: bootargs$/,
  ],
  [
    'all four changed: all are computed',
    (m) => {
      chosen('bootargs', stringValue('x'))(m);
      for (const gpa of [Number(KERNEL), IN_TREE_PAGE + RTAS_AT, IN_TREE_PAGE + INITRD_AT + guestInitrd().length - 1]) {
        flip(m, gpa);
      }
    },
    /says: rtas, kernel, initrd, bootargs$/,
  ],
  ['no command line', chosen('bootargs'), /no bootargs/],
  ['no start of the initrd', chosen('linux,initrd-start'), /no linux,initrd-start/],
  ['no end of the initrd', chosen('linux,initrd-end'), /no linux,initrd-end/],
  ['an initrd that ends before it begins', chosen('linux,initrd-end', u32Value(0)), /is below/],
  [
    'an initrd outside the slots',
    chosen('linux,initrd-end', u32Value(0x7fffffff)),
    /no room for the pages of the Ultravisor/,
  ],
  ['an initrd outside guest physical space', chosen('linux,initrd-end', u64Value(1n << 60n)), /outside guest physical/],
  ['an initrd over the kernel', chosen('linux,initrd-end', u32Value(Number(KERNEL) + 1)), /overlap/],
  ['no base of RTAS', rtas('linux,rtas-base'), /no linux,rtas-base/],
  ['no size of RTAS', rtas('slof,rtas-size'), /no slof,rtas-size/],
  ['RTAS of a lying size', rtas('slof,rtas-size', u32Value(0x20000)), /slof,rtas-size/],
  ['RTAS on the kernel', rtas('linux,rtas-base', u32Value(Number(KERNEL))), /overlap/],
  ['a boot CPU that there cannot be', retree({ bootCpuidPhys: 2 }), /boot CPU 2 of at most 2/],
  [
    'a blob of an empty place',
    (m) =>
      retree({ chosen: { 'linux,esm-blob-start': u32Value(0x30000), 'linux,esm-blob-end': u32Value(0x30000) } })(m),
    /0 bytes are too few/,
  ],
  ['a blob whose end is missing', chosen('linux,esm-blob-start', u32Value(0x30000)), /no linux,esm-blob-end/],
  [
    'an initrd without an archive',
    (m) => put(m, IN_TREE_PAGE + INITRD_AT, new Uint8Array(8).fill(0x41)),
    /no archive with opt\/ibm\/pef/,
  ],
  ['another file in the archive', (m) => put(m, IN_TREE_PAGE + INITRD_AT, smuggling()), /also holds "etc\/init"/],
  ['a blob for another machine', reblob(padded(blobFor(image, kit))), /none opens with the key of this machine/],
  ['a blob that is cut short', (m) => put(m, IN_TREE_PAGE + INITRD_AT, cutShort()), /ESM blob/],
];

/** As long as the blob that the tree tells of: a device tree may have room at its end. */
function padded(blob: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(guestBlob().length);
  bytes.set(blob);
  return bytes;
}

function smuggling(): Uint8Array {
  const bytes = guestInitrd();
  const text = new TextDecoder('latin1').decode(bytes);
  const second = text.indexOf('070701', text.indexOf('opt/ibm/pef/esm-blob'));
  const member = `${text.slice(second, second + 94)}00000009${text.slice(second + 102, second + 110)}etc/init\0`;
  bytes.set(
    Uint8Array.from(member, (c) => c.charCodeAt(0)),
    second,
  );
  return bytes;
}

function cutShort(): Uint8Array {
  const bytes = guestInitrd();
  const at = new TextDecoder('latin1').decode(bytes).indexOf('\xd0\x0d\xfe\xed');
  new DataView(bytes.buffer).setUint32(at + 4, 100);
  return bytes;
}

describe('what the blob does not prove stays a normal VM', () => {
  it.each(FAILURES)('%s: H_SVM_INIT_ABORT, H_PARAMETER, and everything as it was', (_, change, reason) => {
    const m = new Machine();
    change(m);
    const pages = () => [0, 1, 2, 3, 4, 5].map((gfn) => Buffer.from(m.hv.read(m.ra(gfn), PAGE)).toString('latin1'));
    const before = pages();
    m.startEsm();
    m.hypervise();
    expect(reasonOf(m)).toMatch(reason);
    expect(m.calls.at(-1)?.number).toBe(HCALL.H_SVM_INIT_ABORT);
    expect(m.calls.some(({ number }) => number === HCALL.H_SVM_INIT_DONE)).toBe(false);
    expect(m.resumed).toEqual({ nia: ESM_NIA, r3: H_PARAMETER });
    expect(m.svmState()).toBe('NORMAL');
    expect(pages().every((page, gfn) => page === before[gfn])).toBe(true);
    expect(m.pate()).toEqual([HV_PATE.dw0, HV_PATE.dw1]);
    const { total, free } = m.uv.report().secureFrames;
    expect(total - free).toBe(1);
  });

  it('and can ask again with what is right', () => {
    const m = new Machine();
    flip(m, Number(KERNEL));
    m.startEsm();
    m.hypervise();
    flip(m, Number(KERNEL));
    m.resumed = null;
    m.esm();
    expect(m.svmState()).toBe('SECURE');
  });

  it('is refused on a machine with another key', () => {
    const m = new Machine({ machineKey: readRsaPrivateKey(oaepPrivateKey) });
    m.startEsm();
    m.hypervise();
    expect(reasonOf(m)).toMatch(/key of this machine/);
  });
});

describe('where the blob may be', () => {
  it('where the boot wrapper put it, and then the whole initrd is measured (7.1)', () => {
    const m = new Machine();
    const whole = guestInitrd();
    const blob = blobFor({ ...image, initrd: whole }, { ...kit, machine: MACHINE_KEY });
    put(m, 0x30000, blob);
    const range = {
      'linux,esm-blob-start': u64Value(0x30000n),
      'linux,esm-blob-end': u64Value(0x30000n + BigInt(blob.length)),
    };
    retree({ chosen: range })(m);
    m.esm();
    expect(m.svmState()).toBe('SECURE');
  });
});

describe('what was measured cannot be changed afterwards', () => {
  /** Does something at a hypercall, before the hypervisor answers it. */
  const at = (m: Machine, number: number, action: () => void) => {
    let done = false;
    m.serve = (asked) => {
      if (asked === number && !done && m.calls.length > 5) {
        done = true;
        m.fromHypervisor(action);
      }
      return undefined;
    };
  };

  it.each([
    ['while other pages move in', HCALL.H_SVM_PAGE_IN],
    ['at H_SVM_INIT_DONE', HCALL.H_SVM_INIT_DONE],
  ])('by UV_PAGE_IN %s: U_P2', (_, number) => {
    const m = new Machine();
    const evil = m.newPage();
    const codes: number[] = [];
    at(m, number, () => codes.push(m.ultracall('UV_PAGE_IN', LPID, evil, KERNEL, 0, 16)));
    m.esm();
    expect(codes).toEqual([-55]);
    expect(m.guestPage(2).subarray(0, 4)).toEqual(new Uint8Array(4).fill(0x12));
  });

  it('nor anything else once all is in: U_P2', () => {
    const m = new Machine();
    const evil = m.newPage();
    const codes: number[] = [];
    at(m, HCALL.H_SVM_INIT_DONE, () => codes.push(m.ultracall('UV_PAGE_IN', LPID, evil, 4 * PAGE, 0, 16)));
    m.esm();
    expect(codes).toEqual([-55]);
  });

  it('by taking its slot away at H_SVM_INIT_DONE: it never runs', () => {
    const m = new Machine();
    at(m, HCALL.H_SVM_INIT_DONE, () => m.ultracall('UV_UNREGISTER_MEM_SLOT', LPID, SLOT));
    m.startEsm();
    while (m.svmState() !== 'DEAD' && m.calls.length < 50) m.answer();
    expect(m.svmState()).toBe('DEAD');
    expect(m.secure).toBe(false);
  });
});

describe('--esm-scope verified (10.2 #73)', () => {
  it('keeps kernel, initrd, tree and RTAS, and zeroes all else, also in their pages', () => {
    const m = new Machine({ esmScope: 'verified' });
    m.esm();
    const kernelPage = m.guestPage(2);
    expect(kernelPage.subarray(0, KERNEL_BYTES).every((byte) => byte === 0x12)).toBe(true);
    expect(kernelPage.subarray(KERNEL_BYTES).every((byte) => byte === 0)).toBe(true);
    const page = m.guestPage(1);
    const initrd = guestInitrd();
    expect(page.slice(INITRD_AT, INITRD_AT + initrd.length)).toEqual(initrd);
    expect(page[RTAS_AT]).toBe(0x7c);
    expect(page.subarray(TREE_BYTES, RTAS_AT).every((byte) => byte === 0)).toBe(true);
    expect(page.subarray(RTAS_AT + 20, INITRD_AT).every((byte) => byte === 0)).toBe(true);
    expect(page.subarray(INITRD_AT + initrd.length).every((byte) => byte === 0)).toBe(true);
    for (const gfn of [0, 3, 4, 5]) expect(m.leaf(gfn), `frame ${gfn}`).toBe(0n);
    expect(m.calls.filter(({ number, args }) => number === HCALL.H_SVM_PAGE_IN && args[1] === 0n)).toHaveLength(2);
  });
});

describe('UV_ESMB_GET_FILE (3.17)', () => {
  const words = (name: string) => {
    const bytes = new Uint8Array(64);
    bytes.set(new TextEncoder().encode(name));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: 8 }, (_, i) => view.getBigUint64(8 * i));
  };
  const read = (m: Machine, name: string, offset: number | bigint) =>
    m.ultracall('UV_ESMB_GET_FILE', offset, ...words(name));
  const data = (m: Machine) => {
    const bytes = new Uint8Array(64);
    for (let i = 0; i < 8; i++) new DataView(bytes.buffer).setBigUint64(8 * i, m.port.gpr(4 + i));
    return bytes;
  };

  it.each([
    ['the kernel', 0n],
    ['a user program', MSR.PR],
  ])('gives %s the file in chunks of 64 bytes, then 0', (_, pr) => {
    const m = secureMachine();
    m.port.currentMsr |= pr;
    const got: number[] = [];
    for (const length of [64, 64, 22]) {
      expect(read(m, 'rootd', got.length)).toBe(length);
      expect(
        data(m)
          .subarray(length)
          .every((byte) => byte === 0),
      ).toBe(true);
      got.push(...data(m).subarray(0, length));
    }
    expect(Uint8Array.from(got)).toEqual(PASS_PHRASE);
    expect(read(m, 'rootd', 150)).toBe(0);
    expect(read(m, 'empty', 0)).toBe(0);
    expect(m.secure).toBe(true);
  });

  it.each([
    ['a file that is not there', (m: Machine) => read(m, 'crypttab', 0)],
    ['a path', (m: Machine) => read(m, '../rootd', 0)],
    ['what was read already', (m: Machine) => read(m, 'rootd', 63)],
    ['the file from its start', (m: Machine) => read(m, 'rootd', 0)],
    [
      'another process',
      (m: Machine) => {
        m.port.setSpr(48, PIDR + 1n);
        return read(m, 'rootd', 64);
      },
    ],
  ])('refuses %s: U_PARAMETER, and nothing changed (10.2 #76)', (_, call) => {
    const m = secureMachine();
    expect(read(m, 'rootd', 0)).toBe(64);
    const before = m.dump();
    expect(call(m)).toBe(-4);
    expect(m.dump()).toBe(before);
  });

  it('goes on behind a gap, and never back', () => {
    const m = secureMachine();
    expect(read(m, 'rootd', 100)).toBe(50);
    expect(read(m, 'rootd', 64)).toBe(-4);
    expect(read(m, 'rootd', 1n << 63n)).toBe(0);
  });

  it('gives nothing to a normal VM or the hypervisor', () => {
    const m = secureMachine();
    expect(m.fromHypervisor(() => read(m, 'rootd', 0))).toBe(-4);
    const normal = new Machine();
    normal.port.currentMsr = MSR.SF;
    expect(read(normal, 'rootd', 0)).toBe(-4);
  });
});
