/** A seeded source of whole numbers from 0 up to, without, its argument (xorshift32): failures can be repeated. */
export type Random = (below: number) => number;

export function random(seed: number): Random {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const INTERESTING = [
  0, 1, 2, 3, 4, 8, 9, 0x10, 0x7f, 0x80, 0xff, 0x1000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff,
];

/** A damaged copy of `bytes`: some bits or words changed, a part moved, or the end cut off or extended. */
export function mutate(bytes: Uint8Array, next: Random): Uint8Array {
  let out = bytes.slice();
  for (let changes = 1 + next(4); changes > 0 && out.length >= 4; changes--) {
    const at = next(out.length);
    const word = next(out.length >> 2) << 2;
    switch (next(7)) {
      case 0:
        out[at] ^= 1 << next(8);
        break;
      case 1:
        out[at] = next(256);
        break;
      case 2:
      case 3:
        new DataView(out.buffer).setUint32(word, INTERESTING[next(INTERESTING.length)], next(2) === 0);
        break;
      case 4:
        new DataView(out.buffer).setUint32(word, next(out.length + 16), next(2) === 0);
        break;
      case 5:
        out.copyWithin(at, next(out.length), next(out.length));
        break;
      default:
        out = next(2) === 0 ? out.slice(0, at) : Uint8Array.of(...out, ...out.subarray(at));
    }
  }
  return out;
}
