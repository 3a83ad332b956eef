import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../src/crypto/node.ts';
import { SE_HEAD, SE_PCF, SeImageError } from '../../src/image/se/format.ts';
import type { SeSecrets } from '../../src/image/se/header.ts';
import { SeHost } from '../../src/image/se/host.ts';
import { openSeImage, readSeImage } from '../../src/image/se/image-reader.ts';
import { makeSeImage } from '../../src/image/se/image-writer.ts';
import { openSeRequest, readSeRequest } from '../../src/image/se/request.ts';
import { sealSeHeader } from '../../src/image/se/seal.ts';
import { bytes, counting } from '../crypto/hex.ts';
import { mutate, random } from './random.ts';
import { ATTESTATION, GENPROTIMG, KEYS, patterns } from './se-vectors.ts';

const RUNS = Number(process.env.CLOISTER_RUNS ?? 10_000);
const next = random(11);
const drawn = (length: number) => Uint8Array.from({ length }, () => next(256));

const privateKey = bytes(GENPROTIMG.host);
/** Most mutations leave the customer's key alone: what the curve says of a key is kept. */
const agreed = new Map<string, Uint8Array | null>();
const crypto = {
  ...nodeProvider,
  ecdhP521(own: Uint8Array, theirs: Uint8Array) {
    const name = Buffer.from(theirs).toString('latin1');
    const shared = agreed.get(name) ?? nodeProvider.ecdhP521(own, theirs);
    agreed.set(name, shared);
    return shared;
  },
};
const host = new SeHost(crypto, privateKey);
const hostKeys = [bytes(KEYS.host), nodeProvider.p521PublicKey(privateKey)];
const { ramdisk, stage3a, stage3b } = patterns();
const { image } = makeSeImage(
  {
    ...{ kernel: ramdisk, cmdline: Uint8Array.of(0), loaders: { stage3a, stage3b }, hostKeys },
    ...{ plaintextFlags: SE_PCF.ALLOW_DUMPING, secretFlags: 0n },
  },
  nodeProvider,
  drawn,
);
const { headerAt, headerBytes, ipibAt, components } = readSeImage(image);

/** The parts that are structure, and some pages: mutations elsewhere are seen by nobody. */
const PARTS = [
  [0xc000, 0xc01c],
  [headerAt, headerAt + headerBytes.length],
  [headerAt, headerAt + SE_HEAD.bytes],
  [ipibAt, image.length],
  [Number(components[0].address), ipibAt],
] as const;

const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a).equals(b);

describe('whatever is in an image', () => {
  it(`it is refused in words, does not authenticate, or is as it was: ${RUNS} mutations`, () => {
    const counts = { refused: 0, closed: 0, differs: 0, whole: 0 };
    for (let n = 0; n < RUNS; n++) {
      const [from, to] = PARTS[next(PARTS.length)];
      const part = mutate(image.subarray(from, to), next);
      const whole = Buffer.concat([image.subarray(0, from), part, image.subarray(to)]);
      try {
        const found = readSeImage(new Uint8Array(whole));
        const secrets = host.openHeader(found.headerBytes);
        if (typeof secrets === 'string') {
          expect(same(found.headerBytes, headerBytes)).toBe(false);
          counts.closed++;
          continue;
        }
        expect(same(found.headerBytes, headerBytes)).toBe(true);
        const { differences } = openSeImage(found, secrets, nodeProvider);
        const pages = found.components.map(({ stored }) => stored);
        const asBefore =
          pages.length === components.length &&
          found.components.every(({ stored, address, tweakPrefix }, i) => {
            const before = components[i];
            return same(stored, before.stored) && address === before.address && tweakPrefix === before.tweakPrefix;
          });
        expect(differences.length === 0).toBe(asBefore);
        counts[asBefore ? 'whole' : 'differs']++;
      } catch (error) {
        if (!(error instanceof SeImageError)) throw error;
        expect(error.message).toMatch(/^Secure Execution image: [^\n]+: [^\n]+$/);
        counts.refused++;
      }
    }
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(RUNS / 100);
  });

  it('it is refused wherever it is cut off', () => {
    const cuts = new Set<number>([0, 1, 7, 8, 0xc000, 0xc008, 0xc01b, 0xc01c, image.length - 1]);
    for (const at of [headerAt, ipibAt]) for (let i = 0; i <= 0x300; i += 1) cuts.add(at + i);
    for (const { address, stored } of components) cuts.add(Number(address)).add(Number(address) + stored.length);
    for (const cut of cuts) {
      if (cut >= image.length) continue;
      expect(() => readSeImage(image.subarray(0, cut)), `${cut}`).toThrow(SeImageError);
    }
  });
});

describe('every byte of a header', () => {
  it('counts: with one bit flipped it is refused for a documented reason', () => {
    const reasons = new Map<string, number>();
    for (const [at, byte] of headerBytes.entries()) {
      const header = headerBytes.with(at, byte ^ (1 << next(8)));
      const parsed = host.parseHeader(header);
      const refusal = typeof parsed === 'string' ? parsed : host.openHeader(header);
      expect(typeof refusal, `byte ${at}`).toBe('string');
      reasons.set(refusal as string, (reasons.get(refusal as string) ?? 0) + 1);
    }
    // Magic and version; the hash in the slot of this host; coordinates and their padding.
    expect([reasons.get('version'), reasons.get('host-key'), reasons.get('customer-key')]).toEqual([12, 32, 160]);
    expect([...reasons.keys()].filter((reason) => !['no-key-slots', 'encrypted-area'].includes(reason)).sort()).toEqual(
      ['customer-key', 'host-key', 'length', 'tag', 'version'],
    );
  });

  it('and its length: any other is refused', () => {
    for (let length = 0; length < headerBytes.length; length++) {
      const refusal = host.parseHeader(headerBytes.subarray(0, length));
      expect(['version', 'length']).toContain(refusal);
    }
    expect(host.parseHeader(Uint8Array.of(...headerBytes, 0))).toBe('length');
    const none = headerBytes.slice();
    new DataView(none.buffer).setBigUint64(SE_HEAD.offsets.keySlots, 0n);
    expect(host.parseHeader(none)).toBe('no-key-slots');
  });

  it('optional items are taken where their bytes go with their number, and refused where not', () => {
    const secrets = host.openHeader(headerBytes) as SeSecrets;
    const seal = (optionalItems: number, optional: number): Uint8Array =>
      sealSeHeader(
        {
          ...{ pages: 1n, pageListDigest: counting(0, 64), addressListDigest: counting(0, 64) },
          ...{
            tweakListDigest: counting(0, 64),
            plaintextFlags: 0n,
            hostKeys,
            customerPrivateKey: bytes(KEYS.customer),
          },
          ...{ headerKey: counting(0, 32), iv: counting(0, 12) },
          secrets: { ...secrets, optionalItems, optionalBytes: counting(0, optional) },
        },
        nodeProvider,
      );
    expect(host.openHeader(seal(1, 48))).toMatchObject({ optionalItems: 1, optionalBytes: counting(0, 48) });
    expect(host.openHeader(seal(0, 48))).toBe('encrypted-area');
    expect(host.openHeader(seal(2, 48))).toBe('encrypted-area');
    expect(host.openHeader(seal(0xffffffff, 0))).toBe('encrypted-area');
  });
});

describe('whatever is in a request', () => {
  it('it is refused in words or does not open: 6,000 mutations', () => {
    const request = bytes(ATTESTATION);
    let closed = 0;
    for (let n = 0; n < 6000; n++) {
      const changed = mutate(request, next);
      try {
        const opened = openSeRequest(readSeRequest(changed), host, nodeProvider);
        expect(typeof opened).toBe('string');
        closed++;
      } catch (error) {
        if (!(error instanceof SeImageError)) throw error;
      }
    }
    expect(closed).toBeGreaterThan(1000);
  });
});
