import { describe, expect, it } from 'vitest';
import { hkdf, hkdfSha512 } from '../../src/crypto/hkdf.ts';
import { nobleProvider } from '../../src/crypto/noble.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { SE_IPIB, SE_KINDS, SE_PCF, SE_PLACE, SE_PSW_MASK, SeImageError } from '../../src/image/se/format.ts';
import { readSeHeader, type SeSecrets } from '../../src/image/se/header.ts';
import { SeHost } from '../../src/image/se/host.ts';
import { openSeImage, readSeImage, readSeIpib, trueSizes } from '../../src/image/se/image-reader.ts';
import { makeSeImage, randomP521Key, type SeImageSource } from '../../src/image/se/image-writer.ts';
import {
  makeAddSecretRequest,
  makeAttestationRequest,
  openSeRequest,
  readSeRequest,
  SE_ADD_SECRET_DISABLE_DUMP,
  SE_ATTESTATION_FLAGS,
  SE_SECRET_TYPES,
  type SeSecret,
} from '../../src/image/se/request.ts';
import { openSeHeader, sealSeHeader } from '../../src/image/se/seal.ts';
import type { SeCrypto } from '../../src/s390/ultravisor/se-crypto.ts';
import { bytes, counting, hex, utf8 } from '../crypto/hex.ts';
import { ADD_SECRET, ATTESTATION, GENPROTIMG, HEADER, KEYS, patterns } from './se-vectors.ts';

const fill = (length: number, value: number) => new Uint8Array(length).fill(value);
const NO_ITEMS = { optionalItems: 0, optionalBytes: new Uint8Array(0) };

/** A source of bytes that can be repeated. */
function repeatable(seed: number): (length: number) => Uint8Array {
  let n = 0;
  return (length) => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 64)
      out.set(nodeProvider.sha512(utf8(`${seed} ${n++}`)).subarray(0, length - at), at);
    return out;
  };
}

const hostPrivate = bytes(GENPROTIMG.host);
const hostPublic = nodeProvider.p521PublicKey(hostPrivate);
const source = (changes: Partial<SeImageSource> = {}): SeImageSource => {
  const { kernel, ramdisk, cmdline, stage3a, stage3b } = patterns();
  return {
    ...{ kernel, ramdisk, cmdline, loaders: { stage3a, stage3b }, hostKeys: [hostPublic] },
    ...{ plaintextFlags: 0xe0n, secretFlags: 0n },
    ...changes,
  };
};

describe.each([nodeProvider, nobleProvider])('with the $name provider', (provider) => {
  it('makes the header that s390-tools expect', () => {
    const secrets: SeSecrets = {
      ...{ communicationKey: fill(32, 49), componentKey: fill(64, 3), pswMask: 5678n, pswAddress: 1234n },
      ...{ secretFlags: 0n, ...NO_ITEMS },
    };
    const header = sealSeHeader(
      {
        ...{ pages: 1n, pageListDigest: fill(64, 2), addressListDigest: fill(64, 1), tweakListDigest: fill(64, 3) },
        ...{ plaintextFlags: 0n, secrets, hostKeys: [bytes(KEYS.host)], customerPrivateKey: bytes(KEYS.customer) },
        ...{ headerKey: fill(32, 50), iv: fill(12, 51) },
      },
      provider,
    );
    expect(hex(header)).toBe(HEADER);
    expect(openSeHeader(readSeHeader(header), fill(32, 50), provider)).toEqual(secrets);
    expect(openSeHeader(readSeHeader(header), fill(32, 51), provider)).toBe('tag');
  });

  it('makes the attestation request that s390-tools expect', () => {
    const { NONCE, IMAGE_HOST_KEY_HASH, ATTESTATION_HOST_KEY_HASH } = SE_ATTESTATION_FLAGS;
    const request = makeAttestationRequest(
      {
        ...{ hostKeys: [bytes(KEYS.host)], customerPrivateKey: bytes(KEYS.customer), requestKey: fill(32, 0x17) },
        ...{ iv: fill(12, 0x55), measurementKey: fill(64, 0x77), nonce: fill(16, 0xab) },
        flags: NONCE.mask | IMAGE_HOST_KEY_HASH.mask | ATTESTATION_HOST_KEY_HASH.mask,
      },
      provider,
    );
    expect(hex(request)).toBe(ATTESTATION);
  });

  it.each(Object.entries(ADD_SECRET))('makes the add-secret request that s390-tools expect: %s', (name, sha256) => {
    const [secretName, extension, dump, configuration, count] = name.split('_');
    const association: SeSecret = {
      type: SE_SECRET_TYPES.ASSOCIATION,
      id: provider.sha256(utf8('add_secret_request')),
      bytes: fill(32, 0x11),
    };
    const derived = hkdf(hkdfSha512(provider), fill(32, 0), fill(16, 4), utf8('IBM Z Ultravisor Add-Secret'), 32);
    const request = makeAddSecretRequest(
      {
        ...{ customerPrivateKey: bytes(KEYS.customer), requestKey: fill(32, 0x17), iv: fill(12, 0x55) },
        hostKeys: Array.from({ length: count === 'seven' ? 7 : 1 }, () => bytes(KEYS.host)),
        flags: dump === 'dump' ? SE_ADD_SECRET_DISABLE_DUMP : 0n,
        image: {
          ...{ pageListDigest: fill(64, 1), addressListDigest: fill(64, 2), tweakListDigest: fill(64, 3) },
          tag: fill(16, 4),
        },
        configurationId: configuration === 'cuid' ? fill(16, 0x42) : null,
        userData: null,
        secret: secretName === 'assoc' ? association : { type: SE_SECRET_TYPES.NULL },
        extensionSecret: { none: null, simple: fill(32, 0x17), derived }[extension] ?? null,
      },
      provider,
    );
    expect(hex(provider.sha256(request))).toBe(sha256);
  });

  it("opens genprotimg's header, and makes of the components the pages that it counts and hashes", () => {
    const { kernel, ramdisk, cmdline, stage3a, stage3b } = patterns();
    const host: SeCrypto = new SeHost(provider, hostPrivate);
    const header = readSeHeader(bytes(GENPROTIMG.header));
    const secrets = host.openHeader(bytes(GENPROTIMG.header));
    expect(secrets).toEqual({
      ...{ communicationKey: counting(0, 32), componentKey: counting(64, 64), pswMask: SE_PSW_MASK },
      ...{ pswAddress: 0x28000n, secretFlags: 1n << 62n, ...NO_ITEMS },
    });
    expect(openSeHeader(header, counting(32, 32), provider)).toEqual(secrets);
    expect(header.plaintextFlags).toBe(0xe0n | SE_PCF.ALLOW_DUMPING);
    expect(header.keySlots).toHaveLength(2);

    const ipib = readSeIpib(bytes(GENPROTIMG.ipib), 0);
    const image = new Uint8Array(0x29000);
    image.set(stage3a, SE_PLACE.STAGE3A);
    image.set(bytes(GENPROTIMG.header), 0x13000);
    image.set(bytes(GENPROTIMG.ipib), 0x12000);
    const loader = stage3b.slice();
    const words = [
      ipib.components[0].address,
      0x10800n,
      ipib.components[1].address,
      20n,
      ipib.components[2].address,
      5000n,
    ];
    const view = new DataView(loader.buffer);
    for (const [i, word] of [...words, SE_PSW_MASK, 0x10000n].entries()) view.setBigUint64(300 - 64 + 8 * i, word);
    const cipher = provider.aesXts(counting(64, 64));
    for (const [i, contents] of [kernel, cmdline, ramdisk, loader].entries()) {
      const { address, length, tweakPrefix } = ipib.components[i];
      for (let at = 0; at < Number(length); at += 4096) {
        const page = new Uint8Array(4096);
        page.set(contents.subarray(at, at + 4096));
        const tweak = new DataView(new ArrayBuffer(16));
        tweak.setBigUint64(0, tweakPrefix);
        tweak.setBigUint64(8, BigInt(at));
        image.set(cipher.encrypt(new Uint8Array(tweak.buffer), page), Number(address) + at);
      }
    }
    const found = readSeImage(image);
    expect(found).toMatchObject({ metadata: false, headerAt: 0x13000, ipibAt: 0x12000 });
    const opened = openSeImage(found, secrets as SeSecrets, provider);
    expect(opened.differences).toEqual([]);
    expect(opened.components.map(({ kind }) => kind)).toEqual(['kernel', 'cmdline', 'ramdisk', 'stage3b']);
    expect(trueSizes(found, opened)).toEqual({
      ...{ kernel: 0x10800, cmdline: 20, ramdisk: 5000, stage3b: 300, kernelEntry: 0x10000n },
    });
    expect(opened.components[0].contents.subarray(0, kernel.length)).toEqual(kernel);
  });

  it('opens what it made, and nothing else', () => {
    const { image, keys } = makeSeImage(source(), provider, repeatable(1));
    const found = readSeImage(image);
    const host = new SeHost(provider, hostPrivate);
    const secrets = host.openHeader(found.headerBytes) as SeSecrets;
    expect(secrets).toMatchObject({ communicationKey: keys.communicationKey, componentKey: keys.componentKey });
    expect(openSeHeader(found.header, keys.headerKey, provider)).toEqual(secrets);
    const opened = openSeImage(found, secrets, provider);
    expect(opened.differences).toEqual([]);
    const { kernel, ramdisk, cmdline } = patterns();
    const sizes = trueSizes(found, opened);
    expect(sizes).toEqual({ kernel: kernel.length, ramdisk: 5000, cmdline: 20, stage3b: 300, kernelEntry: 0x10000n });
    for (const [i, contents] of [kernel, ramdisk, cmdline].entries()) {
      expect(opened.components[i].contents.subarray(0, contents.length)).toEqual(contents);
      expect(opened.components[i].contents.subarray(contents.length).every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe('an image', () => {
  const random = repeatable(2);

  it('is the same for the same random bytes, whoever computes', () => {
    const [a, b] = [nodeProvider, nobleProvider].map(
      (provider) => makeSeImage(source(), provider, repeatable(7)).image,
    );
    expect(hex(nodeProvider.sha256(a))).toBe(hex(nodeProvider.sha256(b)));
  });

  it('lies as s390-pv.md 6.1 says', () => {
    const { image } = makeSeImage(source(), nodeProvider, random);
    const view = new DataView(image.buffer);
    expect(view.getBigUint64(0)).toBe(0x0008000180011000n);
    expect(new TextDecoder().decode(image.subarray(0xc000, 0xc008))).toBe('SeImgLnx');
    expect(view.getBigUint64(0xc008)).toBe(0x14000n);
    expect(view.getUint32(0xc010)).toBe(1);
    const ipibAt = Number(view.getBigUint64(0xc014));
    expect(new TextDecoder().decode(image.subarray(0x14000, 0x14008))).toBe('IBMSecEx');
    // stage3a's arguments count from themselves.
    const argumentsAt = 0x10000 + 0x1800 - 24;
    expect(view.getBigUint64(argumentsAt) + BigInt(argumentsAt)).toBe(0x14000n);
    expect(view.getBigUint64(argumentsAt + 8)).toBe(0x280n);
    expect(view.getBigUint64(argumentsAt + 16) + BigInt(argumentsAt)).toBe(BigInt(ipibAt));
    const { components, headerAddress, headerBytes } = readSeIpib(image, ipibAt);
    expect([headerAddress, headerBytes, image.length]).toEqual([0x14000n, 0x280n, ipibAt + 0x88 + 4 * 24]);
    expect(components.map(({ address, length }) => [address, length])).toEqual([
      [0x15000n, 0x11000n],
      [0x26000n, 0x2000n],
      [0x28000n, 0x1000n],
      [0x29000n, 0x1000n],
    ]);
    expect(components.map(({ tweakPrefix }) => Number(tweakPrefix >> 48n))).toEqual(Object.values(SE_KINDS));
    expect(view.getUint8(ipibAt + SE_IPIB.offsets.blockType)).toBe(5);
  });

  it('has a page even for what is empty, and room for as many hosts as a header takes', () => {
    const { image } = makeSeImage(
      source({ kernel: new Uint8Array(0), ramdisk: new Uint8Array(0), hostKeys: Array(95).fill(hostPublic) }),
      nodeProvider,
      random,
    );
    const found = readSeImage(image);
    expect(found.header.keySlots).toHaveLength(95);
    expect(found.headerBytes.length).toBeLessThanOrEqual(8192);
    expect(found.components.map(({ stored }) => stored.length)).toEqual([4096, 4096, 4096, 4096]);
    expect(() => makeSeImage(source({ hostKeys: Array(96).fill(hostPublic) }), nodeProvider, random)).toThrow(
      SeImageError,
    );
    expect(() => makeSeImage(source({ hostKeys: [] }), nodeProvider, random)).toThrow(SeImageError);
  });

  it('stays in the clear with PCF 35, and is measured all the same', () => {
    const flags = 0xe0n | SE_PCF.NO_COMPONENT_ENCRYPTION;
    const { image, keys } = makeSeImage(source({ plaintextFlags: flags }), nodeProvider, random);
    const found = readSeImage(image);
    expect(found.components[0].stored.subarray(0, 0x10800)).toEqual(patterns().kernel);
    const secrets = openSeHeader(found.header, keys.headerKey, nodeProvider) as SeSecrets;
    expect(openSeImage(found, secrets, nodeProvider).differences).toEqual([]);
  });

  it('is refused where the format cannot hold it', () => {
    const make = (changes: Partial<SeImageSource>) => () => makeSeImage(source(changes), nodeProvider, random);
    const { stage3a, stage3b } = patterns();
    expect(make({ hostKeys: [fill(132, 1)] })).toThrow('key slot 0: the host key is no point of P-521');
    expect(make({ keys: { componentKey: fill(64, 1) } })).toThrow('its halves are equal');
    expect(make({ keys: { communicationKey: fill(31, 1) } })).toThrow('communicationKey: 31 bytes instead of 32');
    expect(make({ loaders: { stage3a: stage3a.subarray(0, 24), stage3b } })).toThrow('stage3a: 24 bytes');
    expect(make({ loaders: { stage3a, stage3b: stage3b.subarray(0, 60) } })).toThrow('stage3b: 60 bytes');
  });

  it('tells what differs: the page list, addresses, tweaks or their number', () => {
    const { image, keys } = makeSeImage(source(), nodeProvider, random);
    const { ipibAt, header } = readSeImage(image);
    const secrets = openSeHeader(header, keys.headerKey, nodeProvider) as SeSecrets;
    const differences = (change: (view: DataView) => void) => {
      const changed = image.slice();
      change(new DataView(changed.buffer));
      return openSeImage(readSeImage(changed), secrets, nodeProvider).differences;
    };
    const entry = (i: number) => ipibAt + 0x88 + 24 * i;
    expect(differences((view) => view.setUint8(0x15005, view.getUint8(0x15005) ^ 1))).toEqual(['PLD']);
    expect(differences((view) => view.setUint8(entry(0) + 7, view.getUint8(entry(0) + 7) ^ 1))).toEqual(['TLD']);
    // The last page of the ramdisk leaves the list; then all four lists of digests differ.
    expect(differences((view) => view.setBigUint64(entry(1) + 16, 0x1000n))).toEqual([
      'page count',
      'PLD',
      'ALD',
      'TLD',
    ]);
  });
});

describe('requests', () => {
  const host = new SeHost(nodeProvider, hostPrivate);
  const keys = {
    hostKeys: [nodeProvider.p521PublicKey(randomP521Key(nodeProvider, repeatable(3))), hostPublic],
    customerPrivateKey: randomP521Key(nodeProvider, repeatable(4)),
    ...{ requestKey: counting(0, 32), iv: counting(0, 12) },
  };

  it('open on the second of two machines', () => {
    const flags = SE_ATTESTATION_FLAGS.FIRMWARE_STATE.mask;
    const attestation = makeAttestationRequest(
      { ...keys, flags, measurementKey: fill(64, 1), nonce: null },
      nodeProvider,
    );
    const found = readSeRequest(attestation);
    expect(found).toMatchObject({ kind: 'attestation', flags, secret: null });
    expect(openSeRequest(found, host, nodeProvider)).toEqual(fill(64, 1));
    const secret = { type: SE_SECRET_TYPES.PLAIN, id: fill(32, 5), bytes: fill(48, 6) } as const;
    const lists = { pageListDigest: fill(64, 1), addressListDigest: fill(64, 2), tweakListDigest: fill(64, 3) };
    const add = makeAddSecretRequest(
      {
        ...keys,
        ...{ flags: 0n, image: { ...lists, tag: fill(16, 4) }, configurationId: null, userData: utf8('for you') },
        ...{ secret, extensionSecret: null },
      },
      nodeProvider,
    );
    const read = readSeRequest(add);
    expect(read).toMatchObject({ kind: 'add-secret', secret: { type: 3, length: 48, id: fill(32, 5) } });
    expect(openSeRequest(read, host, nodeProvider)).toEqual(Uint8Array.of(...fill(48, 6), ...fill(32, 0)));
    const stranger = new SeHost(nodeProvider, randomP521Key(nodeProvider, repeatable(5)));
    expect(openSeRequest(read, stranger, nodeProvider)).toBe('host-key');
    expect(openSeRequest({ ...read, customerKey: fill(160, 0) }, host, nodeProvider)).toBe('customer-key');
    expect(openSeRequest({ ...read, tag: fill(16, 0) }, host, nodeProvider)).toBe('tag');
  });

  it('say what is wrong with them', () => {
    const flags = SE_ATTESTATION_FLAGS.NONCE.mask;
    expect(() =>
      makeAttestationRequest({ ...keys, flags, measurementKey: fill(64, 1), nonce: null }, nodeProvider),
    ).toThrow('a nonce and its flag go together');
    const good = bytes(ATTESTATION);
    const changed = (at: number, value: number) => readSeRequest.bind(null, good.with(at, value));
    expect(changed(0, 1)).toThrow('magic at 0x0: it is that of no request');
    expect(changed(10, 2)).toThrow('version at 0x8: unknown version 0x200');
    expect(changed(15, 0)).toThrow('size at 0xc: 256 instead of 400');
    expect(changed(0x27, 0)).toThrow('keySlots at 0x27: there are none');
    expect(changed(0x27, 2)).toThrow('encryptedBytes');
    expect(changed(0x2f, 17)).toThrow('encryptedBytes');
    for (let length = 0; length < good.length; length++) {
      expect(() => readSeRequest(good.subarray(0, length))).toThrow(SeImageError);
    }
  });
});
