/** A field of an instruction: `width` bits, the lowest of which is `shift` bits above the instruction's lowest bit. */
export interface Field {
  readonly name: string;
  readonly shift: number;
  readonly width: number;
}

/**
 * An instruction's encoding. The instruction's bytes, first byte in memory order of the architecture's instruction stream, form a
 * number of `length * 8` bits. Parts of more than 32 bits are kept as two words: `high` are the first 32 bits, `low` the rest.
 */
export interface Pattern {
  /** Length in bytes: 2, 4 or 6. */
  readonly length: 2 | 4 | 6;
  /** Mask and value of the fixed bits in the first four bytes (or two), right-aligned. */
  readonly mask: number;
  readonly value: number;
  /** Mask and value of the fixed bits in bytes 4 and 5 of a 6-byte instruction. */
  readonly tailMask: number;
  readonly tailValue: number;
  readonly fields: ReadonlyMap<string, Field>;
}

const TOKEN = /^(?:([01]+)|([A-Za-z_][A-Za-z0-9_]*):(\d+)|\.(\d+))$/;

/**
 * Reads an encoding as specifications draw it, most significant bit first: literal bits, `name:width` fields and `.width` for bits
 * that are ignored. Example: `'011111 RT:5 RA:5 RB:5 OE:1 100001010 Rc:1'`.
 *
 * A field of a 6-byte instruction must lie within the first four bytes or within the last two.
 *
 * @throws Error if a token is malformed or the bits do not add up to 16, 32 or 48: a mistake in a definition.
 */
export function parsePattern(text: string): Pattern {
  let bits = '';
  const raw: { name: string; start: number; width: number }[] = [];
  for (const token of text.trim().split(/\s+/)) {
    const match = TOKEN.exec(token);
    if (match === null) throw new Error(`encoding "${text}": cannot read "${token}"`);
    const [, literal, name, width, ignored] = match;
    if (literal !== undefined) {
      bits += literal;
    } else if (name !== undefined) {
      if (raw.some((f) => f.name === name)) throw new Error(`encoding "${text}": field ${name} twice`);
      raw.push({ name, start: bits.length, width: Number(width) });
      bits += '.'.repeat(Number(width));
    } else {
      bits += '.'.repeat(Number(ignored));
    }
  }
  const length = bits.length / 8;
  if (length !== 2 && length !== 4 && length !== 6) throw new Error(`encoding "${text}" has ${bits.length} bits`);

  const headBits = Math.min(32, bits.length);
  const fields = new Map<string, Field>();
  for (const { name, start, width } of raw) {
    const end = start + width;
    if (start < 32 && end > 32) throw new Error(`encoding "${text}": field ${name} crosses byte 4`);
    const shift = end <= 32 ? headBits - end : 32 + (48 - end);
    fields.set(name, { name, shift, width });
  }
  return {
    length,
    mask: fixedMask(bits.slice(0, headBits)),
    value: fixedValue(bits.slice(0, headBits)),
    tailMask: fixedMask(bits.slice(headBits)),
    tailValue: fixedValue(bits.slice(headBits)),
    fields,
  };
}

/** The value of a field in an instruction given as head (first four bytes, or two) and tail (bytes 4 and 5). Unsigned. */
export function extractField(field: Field, head: number, tail: number): number {
  const mask = field.width === 32 ? 0xffffffff : (1 << field.width) - 1;
  return field.shift < 32 ? ((head >>> field.shift) & mask) >>> 0 : (tail >>> (field.shift - 32)) & mask;
}

function fixedMask(bits: string): number {
  return toNumber(bits.replace(/[01]/g, '1').replace(/\./g, '0'));
}

function fixedValue(bits: string): number {
  return toNumber(bits.replace(/\./g, '0'));
}

function toNumber(bits: string): number {
  return bits === '' ? 0 : Number.parseInt(bits, 2) >>> 0;
}
