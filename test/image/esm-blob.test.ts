import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../src/crypto/node.ts';
import { writeRsaPublicKey } from '../../src/crypto/rsa-key.ts';
import { CPIO_MODE, cpioMembers, writeCpio } from '../../src/image/cpio.ts';
import { findEsmArchive, writeEsmArchive } from '../../src/image/esm-archive.ts';
import { readEsmBlob } from '../../src/image/esm-blob-reader.ts';
import { writeEsmBlob } from '../../src/image/esm-blob-writer.ts';
import { EsmBlobError } from '../../src/image/esm-format.ts';
import { openProof } from '../../src/powerpc/ultravisor/esm-proof.ts';
import { guestBlob, guestInitrd, INITRD, MACHINE_KEY, Machine } from '../powerpc/ultravisor/machine.ts';

/** What openProof needs of the Ultravisor. */
const fingerprint = nodeProvider.sha256(new TextEncoder().encode(writeRsaPublicKey(MACHINE_KEY)));
const uv = { crypto: nodeProvider, machineKey: { key: MACHINE_KEY, fingerprint } } as Parameters<typeof openProof>[0];

/** A small generator of numbers below a limit; the same each time. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** One of many small changes: bits, bytes, words, pieces moved, the end cut off. */
function mutate(bytes: Uint8Array, random: (limit: number) => number): Uint8Array {
  const out = bytes.slice(0, random(20) === 0 ? random(bytes.length) : bytes.length);
  for (let n = 1 + random(3); n > 0 && out.length > 8; n--) {
    const at = random(out.length);
    const kind = random(4);
    if (kind === 0) out[at] ^= 1 << random(8);
    else if (kind === 1) out[at] = random(256);
    else if (kind === 2)
      new DataView(out.buffer).setUint32(random(out.length - 4) & ~3, random(2) === 0 ? random(64) : 0xffffffff);
    else out.copyWithin(at, random(out.length), at + random(32));
  }
  return out;
}

describe('an ESM blob', () => {
  it('is read as it was written', () => {
    const blob = readEsmBlob(guestBlob());
    expect(readEsmBlob(writeEsmBlob(blob))).toEqual(blob);
    expect([...blob.files.keys()]).toEqual(['rootd', 'empty']);
  });

  it('or an initrd with one, changed in 10,000 ways, opens as what it was or gives a clean error', () => {
    const random = numbers(4);
    const [blob, initrd] = [guestBlob(), guestInitrd()];
    const right = openProof(uv, null, initrd);
    let opened = 0;
    for (let i = 0; i < 10_000; i++) {
      const placed = i % 2 === 0;
      const changed = mutate(placed ? blob : initrd, random);
      try {
        const proof = openProof(uv, placed ? changed : null, placed ? INITRD : changed);
        expect(proof.digests).toEqual(right.digests);
        opened++;
      } catch (error) {
        if (!(error instanceof EsmBlobError)) throw error;
        expect(error.message).toMatch(/^ESM blob: .+: .+/);
      }
    }
    // Comments, fingerprints and other lockboxes are nobody's promise; all else must not change.
    expect(opened).toBeGreaterThan(10);
    expect(opened).toBeLessThan(5000);
  }, 120_000);

  it('changed in 300 ways makes UV_ESM end as a secure VM or in H_SVM_INIT_ABORT', () => {
    const random = numbers(5);
    const ends = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const m = new Machine();
      const changed = mutate(guestInitrd(), random);
      m.hv.write((m.ra(1) + 0x2000) as never, changed);
      m.startEsm();
      m.hypervise();
      ends.add(m.secure ? 'secure' : `${m.resumed?.r3.toString(16)} ${m.svmState()}`);
    }
    expect(ends).toEqual(new Set(['secure', 'fffffffffffffffc NORMAL']));
  }, 120_000);
});

describe('the archive before an initrd', () => {
  const file = (name: string, contents: Uint8Array = new Uint8Array(4)) => ({
    name,
    mode: CPIO_MODE.REGULAR | 0o644,
    contents,
  });
  const blob = guestBlob();

  it('ends on a multiple of 512 bytes, and what follows is the initrd', () => {
    const bytes = guestInitrd();
    const found = findEsmArchive(bytes);
    expect(found?.length).toBe(writeEsmArchive(blob).length);
    expect((found?.length ?? 1) % 512).toBe(0);
    expect(bytes.subarray(found?.length)).toEqual(INITRD);
    expect([...cpioMembers(bytes)].map(({ name }) => name)).toEqual([
      'opt',
      'opt/ibm',
      'opt/ibm/pef',
      'opt/ibm/pef/esm-blob',
    ]);
  });

  it('is none if it has no such file, whatever else it holds', () => {
    expect(findEsmArchive(INITRD)).toBeNull();
    expect(findEsmArchive(writeCpio([file('init')]))).toBeNull();
    expect(findEsmArchive(new Uint8Array(0))).toBeNull();
  });

  it.each([
    ['another file', writeCpio([file('opt/ibm/pef/a', blob), file('init')]), /also holds "init"/],
    ['a file deeper down', writeCpio([file('opt/ibm/pef/a', blob), file('opt/ibm/pef/b/c')]), /also holds/],
    ['a way out', writeCpio([file('opt/ibm/pef/a', blob), file('opt/ibm/pef/..')]), /also holds/],
    ['a link', writeCpio([file('opt/ibm/pef/a', blob), { ...file('opt/ibm/pef/b'), mode: 0o120777 }]), /also holds/],
    ['no blob in the file', writeCpio([file('opt/ibm/pef/a', new Uint8Array(64))]), /no device tree/],
    [
      'bytes behind its trailer',
      writeEsmArchive(blob).with(writeEsmArchive(blob).length - 1, 1),
      /not zero behind its trailer/,
    ],
    ['no end', writeEsmArchive(blob).subarray(0, 1000), /cpio archive/],
  ])('with %s is refused: no digest covers it', (_, bytes, message) => {
    expect(() => findEsmArchive(bytes)).toThrow(EsmBlobError);
    expect(() => findEsmArchive(bytes)).toThrow(message);
  });
});
