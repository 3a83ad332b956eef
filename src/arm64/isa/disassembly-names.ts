/** Names of hints, barriers, prefetches, PSTATE fields and system operations, as binutils writes them. */

export const CONDITIONS = [
  ...['eq', 'ne', 'cs', 'cc', 'mi', 'pl', 'vs', 'vc'],
  ...['hi', 'ls', 'ge', 'lt', 'gt', 'le', 'al', 'nv'],
] as const;

export const SHIFTS = ['lsl', 'lsr', 'asr', 'ror'] as const;
export const EXTENSIONS = ['uxtb', 'uxth', 'uxtw', 'uxtx', 'sxtb', 'sxth', 'sxtw', 'sxtx'] as const;

/** By CRm:op2. */
export const HINTS: Readonly<Record<number, string>> = {
  0: 'nop',
  1: 'yield',
  2: 'wfe',
  3: 'wfi',
  4: 'sev',
  5: 'sevl',
  7: 'xpaclri',
  8: 'pacia1716',
  10: 'pacib1716',
  12: 'autia1716',
  14: 'autib1716',
  16: 'esb',
  17: 'psb csync',
  18: 'tsb csync',
  20: 'csdb',
  22: 'clearbhb',
  24: 'paciaz',
  25: 'paciasp',
  26: 'pacibz',
  27: 'pacibsp',
  28: 'autiaz',
  29: 'autiasp',
  30: 'autibz',
  31: 'autibsp',
  32: 'bti',
  34: 'bti c',
  36: 'bti j',
  38: 'bti jc',
};

/** Barrier options by CRm. */
export const BARRIERS: readonly (string | undefined)[] = [
  ...[undefined, 'oshld', 'oshst', 'osh'],
  ...[undefined, 'nshld', 'nshst', 'nsh'],
  ...[undefined, 'ishld', 'ishst', 'ish'],
  ...[undefined, 'ld', 'st', 'sy'],
];

/** Operations of prefetches: type, level and policy in a register field. */
export function prefetchName(operation: number): string | null {
  const type = ['pld', 'pli', 'pst'][operation >> 3];
  const level = (operation >> 1) & 3;
  return type === undefined || level === 3 ? null : `${type}l${level + 1}${operation & 1 ? 'strm' : 'keep'}`;
}

/** Fields of PSTATE by op1:op2, and the largest value an immediate can give them. */
export const PSTATE_FIELDS: ReadonlyMap<number, readonly [name: string, most: number]> = new Map([
  [0o03, ['uao', 1]],
  [0o04, ['pan', 1]],
  [0o05, ['spsel', 1]],
  [0o31, ['ssbs', 1]],
  [0o32, ['dit', 1]],
  [0o34, ['tco', 1]],
  [0o36, ['daifset', 15]],
  [0o37, ['daifclr', 15]],
]);

type Operation = readonly [op1: number, crn: number, crm: number, op2: number, name: string, register: boolean];

/** Operations of SYS that have names (Arm ARM, C5.3 to C5.5), without those of extensions that the PE has not. */
const OPERATIONS: readonly Operation[] = [
  [0, 7, 1, 0, 'ic ialluis', false],
  [0, 7, 5, 0, 'ic iallu', false],
  [3, 7, 5, 1, 'ic ivau', true],
  [3, 7, 4, 1, 'dc zva', true],
  [0, 7, 6, 1, 'dc ivac', true],
  [0, 7, 6, 2, 'dc isw', true],
  [3, 7, 10, 1, 'dc cvac', true],
  [0, 7, 10, 2, 'dc csw', true],
  [3, 7, 11, 1, 'dc cvau', true],
  [3, 7, 14, 1, 'dc civac', true],
  [0, 7, 14, 2, 'dc cisw', true],
  [0, 7, 8, 0, 'at s1e1r', true],
  [0, 7, 8, 1, 'at s1e1w', true],
  [0, 7, 8, 2, 'at s1e0r', true],
  [0, 7, 8, 3, 'at s1e0w', true],
  [4, 7, 8, 0, 'at s1e2r', true],
  [4, 7, 8, 1, 'at s1e2w', true],
  [4, 7, 8, 4, 'at s12e1r', true],
  [4, 7, 8, 5, 'at s12e1w', true],
  [4, 7, 8, 6, 'at s12e0r', true],
  [4, 7, 8, 7, 'at s12e0w', true],
  ...([3, 7] as const).flatMap((crm): Operation[] => {
    const is = crm === 3 ? 'is' : '';
    return [
      [0, 8, crm, 0, `tlbi vmalle1${is}`, false],
      [0, 8, crm, 1, `tlbi vae1${is}`, true],
      [0, 8, crm, 2, `tlbi aside1${is}`, true],
      [0, 8, crm, 3, `tlbi vaae1${is}`, true],
      [0, 8, crm, 5, `tlbi vale1${is}`, true],
      [0, 8, crm, 7, `tlbi vaale1${is}`, true],
      [4, 8, crm, 0, `tlbi alle2${is}`, false],
      [4, 8, crm, 1, `tlbi vae2${is}`, true],
      [4, 8, crm, 4, `tlbi alle1${is}`, false],
      [4, 8, crm, 5, `tlbi vale2${is}`, true],
      [4, 8, crm, 6, `tlbi vmalls12e1${is}`, false],
    ];
  }),
  [4, 8, 0, 1, 'tlbi ipas2e1is', true],
  [4, 8, 0, 5, 'tlbi ipas2le1is', true],
  [4, 8, 4, 1, 'tlbi ipas2e1', true],
  [4, 8, 4, 5, 'tlbi ipas2le1', true],
];

const operationKey = (op1: number, crn: number, crm: number, op2: number): number =>
  (op1 << 11) | (crn << 7) | (crm << 3) | op2;

const operations = new Map(
  OPERATIONS.map(([op1, crn, crm, op2, name, register]) => [operationKey(op1, crn, crm, op2), { name, register }]),
);

/** The named operation of a SYS instruction, and whether it takes a register. */
export const operationOf = (
  op1: number,
  crn: number,
  crm: number,
  op2: number,
): { readonly name: string; readonly register: boolean } | undefined =>
  operations.get(operationKey(op1, crn, crm, op2));
