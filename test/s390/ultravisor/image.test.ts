import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { readElf } from '../../../src/image/elf.ts';
import { UVC, UVCB } from '../../../src/s390/abi.ts';
import { s390Guest, s390SecureImage } from '../../support/s390-guest.ts';
import { AT, GUEST_SIZE, HIGH, IMAGE, type Image, type ImagePage, imageOf, UvHost } from './uv-host.ts';

/** SET_PARAMETERS, UNPACK and VERIFY. Codes and offsets are s390-pv.md 2.10 to 2.12 and 6.5; "tag" is section 10's. */

let host: UvHost;
let config: bigint;
beforeEach(() => {
  host = new UvHost().init();
  config = host.createConfig();
});

const PAGE = 4096;
const FIELD = {
  magic: 0x00,
  version: 0x08,
  size: 0x0c,
  slots: 0x20,
  encryptedSize: 0x28,
  pages: 0x30,
  flags: 0x38,
  customerKey: 0x40,
  pageList: 0xe0,
  addressList: 0x120,
  tweakList: 0x160,
  slot: 0x1a0,
  wrappedKey: 0x1c0,
  slotTag: 0x1e0,
  encrypted: 0x1f0,
} as const;

/** The header with bits of a byte turned over. */
function flipped(at: number, bits = 1): Uint8Array {
  const header = IMAGE.header.slice();
  header[at] = (header[at] ?? 0) ^ bits;
  return header;
}

function withU64(at: number, value: bigint): Uint8Array {
  const header = IMAGE.header.slice();
  new DataView(header.buffer).setBigUint64(at, value);
  return header;
}

/** Codes of a header that is refused, and that it leaves no trace. */
function refused(header: Uint8Array): readonly [number, number] {
  host.view.write(AT.header as never, new Uint8Array(0x4000));
  host.view.write(AT.header as never, header);
  const before = host.snapshot();
  const { cc, rc, rrc } = host.setParameters(config, header);
  expect(cc).toBe(1);
  expect(host.snapshot()).toBe(before);
  return [rc, rrc];
}

describe('SET_PARAMETERS', () => {
  const CASES: readonly (readonly [string, () => Uint8Array, number, number | null])[] = [
    ['another version', () => flipped(FIELD.version + 2), 0x0104, 0x0001],
    ['no header at all', () => flipped(FIELD.magic), 0x0104, 0x0001],
    ['no key slots', () => withU64(FIELD.slots, 0n), 0x010a, 0x0040],
    ['more key slots than there is room for', () => withU64(FIELD.slots, 2n), 0x010a, 0x0031],
    ['as many key slots as a doubleword counts', () => withU64(FIELD.slots, 0xffff_ffff_ffff_ffffn), 0x010a, 0x0031],
    ['an encrypted area that is short', () => withU64(FIELD.encryptedSize, 0x70n), 0x010a, 0x0039],
    ['an encrypted area without an end', () => withU64(FIELD.encryptedSize, (1n << 64n) - 16n), 0x010a, 0x0031],
    ['a size that is not the header’s', () => flipped(FIELD.size + 3, 0x10), 0x010a, 0x0031],
    ['a key slot of another host', () => flipped(FIELD.slot), 0x0108, 0x0005],
    ['a customer key that is no point', () => flipped(FIELD.customerKey + 79), 0x0108, 0x000b],
    ['a customer key that is wider than P-521', () => flipped(FIELD.customerKey), 0x0108, 0x000b],
    ['a wrapped key that was changed', () => flipped(FIELD.wrappedKey), 0x0108, null],
    ['a tag of a key slot that was changed', () => flipped(FIELD.slotTag), 0x0108, null],
    ['a number of pages that was changed', () => flipped(FIELD.pages + 7), 0x0108, null],
    ['a digest of pages that was changed', () => flipped(FIELD.pageList), 0x0108, null],
    ['a digest of addresses that was changed', () => flipped(FIELD.addressList + 63), 0x0108, null],
    ['a digest of tweaks that was changed', () => flipped(FIELD.tweakList), 0x0108, null],
    ['an IV that was changed', () => flipped(0x10), 0x0108, null],
    ['keys that were changed', () => flipped(FIELD.encrypted), 0x0108, null],
    ['a flag that was added', () => flipped(FIELD.flags + 4, 0x20), 0x0108, null],
    ['a tag that was changed', () => flipped(IMAGE.header.length - 1), 0x0108, null],
  ];

  test.each(CASES)('%s', (_, header, rc, rrc) => {
    const [code, reason] = refused(header());
    expect(code).toBe(rc);
    if (rrc !== null) expect(reason).toBe(rrc);
    // No source has a reason for a wrong tag; it is none of those that have another meaning.
    else expect([0x0005, 0x000b, 0x0034]).not.toContain(reason);
  });

  test('a change of any byte is refused, and the configuration waits for the right header', () => {
    const before = host.snapshot();
    const codes = new Set<number>();
    for (let at = 0; at < IMAGE.header.length; at++) {
      const { cc, rc } = host.setParameters(config, flipped(at, 0x40));
      expect(cc, `byte 0x${at.toString(16)}`).toBe(1);
      codes.add(rc);
    }
    expect([...codes].sort()).toEqual([0x0104, 0x0106, 0x0108, 0x010a]);
    host.view.write(AT.header as never, new Uint8Array(PAGE));
    expect(host.snapshot()).toBe(before);
    expect(host.setParameters(config).cc).toBe(0);
  });

  test('plaintext flags are refused just where QUERY does not report them', () => {
    const supported = host.call('QUERY').block.getBigUint64(0xb8);
    // Dumps, components in the clear, and PCKMO's three.
    expect(supported & 0x3000_00e0n).toBe(0x3000_00e0n);
    for (let bit = 0n; bit < 64n; bit++) {
      const mask = 1n << bit;
      const now = new DataView(IMAGE.header.buffer, IMAGE.header.byteOffset).getBigUint64(FIELD.flags);
      const { rc, rrc } = host.setParameters(config, withU64(FIELD.flags, now ^ mask));
      if ((now & mask) === 0n && (supported & mask) === 0n) expect([rc, rrc]).toEqual([0x0106, 0x0030]);
      else expect(rc).toBe(0x0108);
    }
  });

  test('a header that the host does not reach, whole or at its end, is a code and no exception', () => {
    const call = (at: number) =>
      host.call('SET_PARAMETERS', [
        [0x18, 8, config],
        [0x20, 8, at],
        [0x28, 4, IMAGE.header.length],
      ]);
    const before = host.snapshot();
    for (const at of [HIGH, HIGH - 16, 0x4000_0000_0000, AT.base - 16]) expect(call(at).rc).toBe(0x0103);
    expect(host.snapshot()).toBe(before);
  });

  test.each([0, 0x2001, 0xffff_ffff])('a length of 0x%s', (length) => {
    const before = host.snapshot();
    const fields = [
      [0x18, 8, config],
      [0x20, 8, AT.header],
      [0x28, 4, length],
    ] as const;
    expect(host.call('SET_PARAMETERS', fields)).toMatchObject({ cc: 1, rc: 0x010a, rrc: 0x0031 });
    expect(host.snapshot()).toBe(before);
  });

  test('comes once', () => {
    expect(host.setParameters(config).cc).toBe(0);
    expect(host.setParameters(config)).toMatchObject({ cc: 1, rc: 0x0003 });
  });
});

/** Unpacks and verifies; the codes of VERIFY. */
function verified(pages: readonly ImagePage[]): readonly [number, number] {
  expect(host.setParameters(config).cc).toBe(0);
  for (const page of pages) expect(host.unpack(config, page).rc).toBe(1);
  const { rc, rrc } = host.call('VERIFY', [[UVCB.HANDLE, 8, config]]);
  return [rc, rrc];
}

describe('UNPACK', () => {
  const F = UVCB.UNPACK;
  const call = (address: bigint | number, of = config) =>
    host.call('UNPACK', [
      [F.CONFIG, 8, of],
      [F.ADDRESS, 8, address],
      [F.TWEAK, 8, 0],
      [F.TWEAK + 8, 8, 0],
    ]);

  test('before a header, and after VERIFY, is an invalid state', () => {
    expect(call(0x10_0000).rc).toBe(0x0003);
    expect(host.call('VERIFY', [[UVCB.HANDLE, 8, config]]).rc).toBe(0x0003);
    expect(verified(IMAGE.pages)).toEqual([1, 0]);
    expect(call(0x10_0000).rc).toBe(0x0003);
    expect(host.call('VERIFY', [[UVCB.HANDLE, 8, config]]).rc).toBe(0x0003);
  });

  test('addresses that are no page of the guest’s, or lead nowhere', () => {
    host.setParameters(config);
    host.maps.get(0xa0_0100n)?.delete(0x10_0000);
    const before = host.snapshot();
    expect(call(0x10_0000).rc).toBe(0x010a);
    for (const address of [0x10_0001, 0x10_0008, GUEST_SIZE, 1n << 63n]) {
      expect(call(address)).toMatchObject({ cc: 1, rc: 0x0101 });
    }
    expect(host.snapshot()).toBe(before);
  });

  test('pages that are not the host’s to give', () => {
    host.setParameters(config);
    const map = host.maps.get(0xa0_0100n);
    const other = host.createVerified({ second: true });
    host.import(other, 0x10_0000 + 0x8_0000);
    const taken = [AT.base, AT.cpu, HIGH, AT.description, AT.block, 0, AT.otherGuest + 0x8_0000];
    for (const at of taken) {
      map?.set(0x10_0000, at);
      const before = host.snapshot();
      expect(call(0x10_0000), `0x${at.toString(16)}`).toMatchObject({ cc: 1, rc: 0x0107 });
      expect(host.snapshot()).toBe(before);
    }
  });

  test('the kernel’s bytes are what its ELF file has, out of the host’s reach', () => {
    expect(verified(IMAGE.pages)).toEqual([1, 0]);
    const file = new Uint8Array(readFileSync(s390Guest('hello')));
    const load = readElf(file, 'hello').segments.filter(({ filesz }) => filesz > 0n);
    expect(load.length).toBeGreaterThan(0);
    // The kernel is the first component; stage 3b moves it to where it runs (6.11).
    const at = AT.guest + (IMAGE.pages[0]?.address ?? 0);
    for (const { paddr, offset, filesz } of load) {
      const bytes = host.uv.view.read((at + Number(paddr)) as never, Number(filesz));
      expect(bytes).toEqual(file.slice(offset, offset + Number(filesz)));
    }
    for (const { address } of IMAGE.pages) {
      expect(host.isHosts(AT.guest + address)).toBe(false);
      expect(() => host.view.read((AT.guest + address) as never, 1)).toThrow();
    }
  });

  test('an image in the clear is measured and used as it is', () => {
    const clear = imageOf(s390SecureImage('hello', '', 0x1000_0000n).bytes);
    expect(host.setParameters(config, clear.header).cc).toBe(0);
    for (const page of clear.pages) {
      expect(host.unpack(config, page).cc).toBe(0);
      expect(host.contents(AT.guest + page.address)).toEqual(page.bytes.slice());
    }
    expect(host.call('VERIFY', [[UVCB.HANDLE, 8, config]]).cc).toBe(0);
  });
});

describe('VERIFY', () => {
  const { pages } = IMAGE;
  const [first, second] = pages as readonly [ImagePage, ImagePage];
  const rest = pages.slice(2);
  const changed = (page: ImagePage): ImagePage => {
    const bytes = page.bytes.slice();
    bytes[4095] = (bytes[4095] ?? 0) ^ 1;
    return { ...page, bytes };
  };

  const CASES: readonly (readonly [string, readonly ImagePage[], number])[] = [
    ['a page too few', pages.slice(1), 0x1d],
    ['no page', [], 0x1d],
    ['a page that was changed', [first, changed(second), ...rest], 0x1b],
    ['pages in another order', [second, first, ...rest], 0x1a],
    ['a page at another address', [{ ...first, address: 0x18_0000 }, second, ...rest], 0x1a],
    [
      'contents of two pages exchanged',
      [{ ...first, bytes: second.bytes }, { ...second, bytes: first.bytes }, ...rest],
      0x1b,
    ],
    ['another tweak', [{ ...first, tweak: first.tweak ^ 1n }, second, ...rest], 0x1c],
    ['another offset in the component', [{ ...first, offset: first.offset + PAGE }, second, ...rest], 0x1c],
    ['an offset that counts pages', pages.map((page) => ({ ...page, offset: page.offset / PAGE })), 0x1c],
  ];

  test.each(CASES)('%s', (_, given, rrc) => {
    expect(verified(given)).toEqual([0x0102, rrc]);
    // It does not run: neither can it be started, nor does SIE.
    expect(host.setState(host.cpus[0] ?? 0n, 5)).toMatchObject({ cc: 1, rc: 0x0003 });
    expect(host.import(config, 0x18_0000)).toMatchObject({ cc: 1, rc: 0x0003 });
    // And its pages stay closed.
    for (const { address } of given) expect(host.isHosts(AT.guest + address)).toBe(false);
  });

  test('a page more than there are', () => {
    expect(host.setParameters(config).cc).toBe(0);
    for (const page of pages) expect(host.unpack(config, page).cc).toBe(0);
    const more = host.unpack(config, { ...first, address: 0x18_0000 });
    expect(more).toMatchObject({ cc: 1, rc: 0x0102, rrc: 0x1d });
    expect(host.call('VERIFY', [[UVCB.HANDLE, 8, config]]).cc).toBe(0);
  });

  test('a page twice', () => {
    host.setParameters(config);
    expect(host.unpack(config, first).cc).toBe(0);
    const again = host.call('UNPACK', [
      [0x18, 8, config],
      [0x20, 8, first.address],
      [0x28, 8, first.tweak],
      [0x30, 8, first.offset],
    ]);
    expect(again).toMatchObject({ cc: 1, rc: 0x0107 });
  });

  test('the header of one image does not vouch for the pages of another', () => {
    const other: Image = imageOf(s390SecureImage('hello', 'other').bytes);
    expect(host.setParameters(config, other.header).cc).toBe(0);
    for (const page of pages.slice(0, other.pages.length)) host.unpack(config, page);
    expect(host.call('VERIFY', [[UVCB.HANDLE, 8, config]]).rc).toBe(0x0102);
  });
});

test('lengths of the three are exact', () => {
  expect([UVC.SET_PARAMETERS.length, UVC.UNPACK.length, UVC.VERIFY.length]).toEqual([0x50, 0x50, 0x40]);
});
