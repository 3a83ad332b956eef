/** Byte offsets in an IPL information block of type 5 (6.4). */
const IPIB = { LENGTH: 0x00, TYPE: 0x0c, COMPONENTS: 0x74, HEADER: 0x78, HEADER_LENGTH: 0x80, FIRST: 0x88 } as const;

const COMPONENT_BYTES = 24;
const TYPE_PV = 5;
const LEAST_LENGTH = 0x94;
const LONGEST_HEADER = 0x2000;
const PAGE = 4096;

/** A component of an image: where it lies in guest storage, its bytes, and the prefix of its tweaks. */
export interface Component {
  readonly tweak: bigint;
  readonly address: number;
  readonly length: number;
}

/** What the block says. */
export interface ProtectedIpl {
  readonly header: number;
  readonly headerLength: number;
  readonly components: readonly Component[];
}

/** Reads a block with the checks of DIAG 308 subcode 8 (5.3). @returns null where one of them fails */
export function readProtectedBlock(block: Uint8Array): ProtectedIpl | null {
  if (block.length < LEAST_LENGTH) return null;
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  const length = view.getUint32(IPIB.LENGTH);
  const count = view.getUint32(IPIB.COMPONENTS);
  const header = view.getBigUint64(IPIB.HEADER);
  const headerLength = view.getBigUint64(IPIB.HEADER_LENGTH);
  if (view.getUint8(IPIB.TYPE) !== TYPE_PV || length < LEAST_LENGTH || length > block.length) return null;
  if (headerLength > BigInt(LONGEST_HEADER) || header > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  if (count < 1 || IPIB.FIRST + count * COMPONENT_BYTES > length) return null;
  const components = Array.from({ length: count }, (_, n) => {
    const at = IPIB.FIRST + n * COMPONENT_BYTES;
    return {
      tweak: view.getBigUint64(at),
      address: Number(view.getBigUint64(at + 8)),
      length: Number(view.getBigUint64(at + 16)),
    };
  });
  const aligned = components.every(({ address }) => address % PAGE === 0);
  const ascending = components.every(({ tweak }, n) => n === 0 || tweak > (components[n - 1] as Component).tweak);
  return aligned && ascending ? { header: Number(header), headerLength: Number(headerLength), components } : null;
}
