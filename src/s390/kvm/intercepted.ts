/** How an intercepted instruction names its operands. */
type Format = 'S' | 'RS' | 'RRE' | 'RSY';

/** Instructions that SIE leaves to KVM, by their first halfword; those with one opcode byte, or two that are apart, by the first. */
const INTERCEPTED: Readonly<Record<number, { readonly name: string; readonly format: Format }>> = {
  130: { name: 'lpsw', format: 'S' },
  131: { name: 'diag', format: 'RS' },
  174: { name: 'sigp', format: 'RS' },
  183: { name: 'lctl', format: 'RS' },
  235: { name: 'lctlg', format: 'RSY' },
  45572: { name: 'sck', format: 'S' },
  45584: { name: 'spx', format: 'S' },
  45600: { name: 'servc', format: 'RRE' },
  45616: { name: 'csch', format: 'S' },
  45617: { name: 'hsch', format: 'S' },
  45618: { name: 'msch', format: 'S' },
  45619: { name: 'ssch', format: 'S' },
  45620: { name: 'stsch', format: 'S' },
  45621: { name: 'tsch', format: 'S' },
  45622: { name: 'tpi', format: 'S' },
  45623: { name: 'sal', format: 'S' },
  45624: { name: 'rsch', format: 'S' },
  45625: { name: 'stcrw', format: 'S' },
  45626: { name: 'stcps', format: 'S' },
  45627: { name: 'rchp', format: 'S' },
  45628: { name: 'schm', format: 'S' },
  45654: { name: 'sthyi', format: 'RRE' },
  45663: { name: 'chsc', format: 'RRE' },
  45686: { name: 'xsch', format: 'S' },
  45746: { name: 'lpswe', format: 'S' },
  45693: { name: 'stsi', format: 'S' },
  47524: { name: 'uvc', format: 'RRE' },
};

/** Last byte of LCTLG, the one instruction that begins with 0xEB and is intercepted. */
const LCTLG = 0x2f;

/** Fields of an intercepted instruction, of `SD.IPA` and `SD.IPB`. */
export interface InterceptedText {
  readonly name: string;
  readonly format: Format;
  readonly r1: number;
  readonly r2: number;
  readonly r3: number;
  /** Base register, 0 for none, and displacement of the second operand. */
  readonly base: number;
  readonly displacement: number;
}

/**
 * @param ipa first halfword of the instruction
 * @param ipb the next two
 * @returns null for an instruction that KVM does not know
 */
export function decodeIntercepted(ipa: number, ipb: number): InterceptedText | null {
  const known = INTERCEPTED[ipa] ?? INTERCEPTED[ipa >> 8];
  if (known === undefined) return null;
  const { name, format } = known;
  const none = { name, format, r1: 0, r2: 0, r3: 0, base: 0, displacement: 0 };
  const storage = { base: (ipb >>> 28) & 0xf, displacement: (ipb >>> 16) & 0xfff };
  switch (format) {
    case 'S':
      return { ...none, ...storage };
    case 'RS':
      return { ...none, ...storage, r1: (ipa >> 4) & 0xf, r3: ipa & 0xf };
    case 'RSY': {
      if ((ipb & 0xff) !== LCTLG) return null;
      const high = ((ipb >>> 8) << 24) >> 12;
      return { ...none, ...storage, displacement: high | storage.displacement, r1: (ipa >> 4) & 0xf, r3: ipa & 0xf };
    }
    case 'RRE':
      return { ...none, r1: (ipb >>> 20) & 0xf, r2: (ipb >>> 16) & 0xf };
  }
}
