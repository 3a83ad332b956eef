/** Fields of an instruction word by their names in Power ISA 3.0B, book I, 1.6.3: the lowest bit, counted from the right, and the width. */
const FIELDS = {
  RT: [21, 5],
  RS: [21, 5],
  RA: [16, 5],
  RB: [11, 5],
  RC: [6, 5],
  FRT: [21, 5],
  FRS: [21, 5],
  FRA: [16, 5],
  FRB: [11, 5],
  FRC: [6, 5],
  FLM: [17, 8],
  U: [12, 4],
  DRM: [11, 3],
  RM: [11, 2],
  /** W and L of mtfsf and mtfsfi. */
  W: [16, 1],
  LF: [25, 1],
  BF: [23, 3],
  BFA: [18, 3],
  BT: [21, 5],
  BA: [16, 5],
  BB: [11, 5],
  BC: [6, 5],
  BO: [21, 5],
  BI: [16, 5],
  BH: [11, 2],
  BD: [2, 14],
  LI: [2, 24],
  AA: [1, 1],
  LK: [0, 1],
  OE: [10, 1],
  Rc: [0, 1],
  SI: [0, 16],
  UI: [0, 16],
  D: [0, 16],
  DS: [2, 14],
  DQ: [4, 12],
  /** The even register of a pair, halved. */
  RTp: [22, 4],
  RSp: [22, 4],
  d0: [6, 10],
  d1: [16, 5],
  d2: [0, 1],
  SH: [11, 5],
  MB: [6, 5],
  ME: [1, 5],
  /** Low five bits of a 6-bit shift, and its highest bit. */
  shLow: [11, 5],
  shHigh: [1, 1],
  /** The same of a 6-bit mask bound. */
  boundLow: [6, 5],
  boundHigh: [5, 1],
  TO: [21, 5],
  FXM: [12, 8],
  NB: [11, 5],
  /** Halves of an SPR number. */
  sprLow: [16, 5],
  sprHigh: [11, 5],
  EH: [0, 1],
  FC: [11, 5],
  TH: [21, 5],
  CT: [21, 4],
  LEV: [5, 7],
  IH: [21, 3],
  RIC: [18, 2],
  PRS: [17, 1],
  R: [16, 1],
  WC: [21, 2],
  /** One bit in compares. */
  L: [21, 1],
  /** In sync and dcbf. */
  L2: [21, 2],
  /** In mtmsr, mtmsrd and darn. */
  LA: [16, 2],
} as const satisfies Record<string, readonly [shift: number, width: number]>;
export type FieldName = keyof typeof FIELDS;

/** Reads the fields of an instruction word. */
export type Fields = (name: FieldName) => number;

export function fieldsOf(word: number): Fields {
  return (name) => {
    const [shift, width] = FIELDS[name];
    return (word >>> shift) & ((1 << width) - 1);
  };
}

/** Another spelling of an instruction where its fields meet a condition. */
export interface Alias {
  /** Name of the definition. */
  readonly of: string;
  readonly when: (f: Fields) => boolean;
  /** Mnemonic; `o` and `.` are added where the definition has OE and Rc. */
  readonly as: string;
  readonly operands: string;
}

type Row = readonly [of: string, when: Alias['when'], as: string, operands: string];

const always = (): boolean => true;
const isZero =
  (name: FieldName): Alias['when'] =>
  (f) =>
    f(name) === 0;

/** Conditions of TO that have names (Power ISA 3.0B, book I, appendix C.6). */
const TRAP_CONDITIONS: readonly (readonly [to: number, name: string])[] = [
  [1, 'lgt'],
  [2, 'llt'],
  [4, 'eq'],
  [5, 'lge'],
  [6, 'lle'],
  [8, 'gt'],
  [12, 'ge'],
  [16, 'lt'],
  [20, 'le'],
  [24, 'ne'],
  [31, 'u'],
];

const TRAPS: readonly Row[] = [
  ['tw', (f) => f('TO') === 31 && f('RA') === 0 && f('RB') === 0, 'trap', ''],
  ...TRAP_CONDITIONS.flatMap(([to, name]): Row[] => [
    ['twi', (f) => f('TO') === to, `tw${name}i`, '{RA},{SI}'],
    ['tdi', (f) => f('TO') === to, `td${name}i`, '{RA},{SI}'],
    ['tw', (f) => f('TO') === to, `tw${name}`, '{RA},{RB}'],
    ['td', (f) => f('TO') === to, `td${name}`, '{RA},{RB}'],
  ]),
];

/** One register ORed with itself: a hint to the thread scheduler. */
const HINTS: readonly (readonly [register: number, name: string])[] = [
  [26, 'miso'],
  [27, 'yield'],
  [29, 'mdoio'],
  [30, 'mdoom'],
];

const allRegisters = (f: Fields, register: number): boolean =>
  f('RS') === register && f('RA') === register && f('RB') === register;
const isImmediateNop = (f: Fields, register: number): boolean =>
  f('RS') === register && f('RA') === register && f('UI') === 0;

const FIXED_POINT: readonly Row[] = [
  ['addi', isZero('RA'), 'li', '{RT},{SI}'],
  ['addis', isZero('RA'), 'lis', '{RT},{SI}'],
  ['addpcis', (f) => (f('d0') | f('d1') | f('d2')) === 0, 'lnia', '{RT}'],
  ['addpcis', always, 'addpcis', '{RT},{DX}'],
  ...HINTS.map(([register, name]): Row => ['or', (f) => f('Rc') === 0 && allRegisters(f, register), name, '']),
  ['or', (f) => f('RS') === f('RB'), 'mr', '{RA},{RS}'],
  ['nor', (f) => f('RS') === f('RB'), 'not', '{RA},{RS}'],
  ['ori', (f) => isImmediateNop(f, 0), 'nop', ''],
  ['ori', (f) => isImmediateNop(f, 31), 'exser', ''],
  ['xori', (f) => isImmediateNop(f, 0), 'xnop', ''],
  ...['lt', 'gt', 'eq'].map(
    (name, bit): Row => ['isel', (f) => f('BC') === bit && f('Rc') === 0, `isel${name}`, '{RT},{RA},{RB}'],
  ),
  ['cmpi', isZero('L'), 'cmpwi', '{BF?}{RA},{SI}'],
  ['cmpi', always, 'cmpdi', '{BF?}{RA},{SI}'],
  ['cmpli', isZero('L'), 'cmplwi', '{BF?}{RA},{UI}'],
  ['cmpli', always, 'cmpldi', '{BF?}{RA},{UI}'],
  ['cmp', isZero('L'), 'cmpw', '{BF?}{RA},{RB}'],
  ['cmp', always, 'cmpd', '{BF?}{RA},{RB}'],
  ['cmpl', isZero('L'), 'cmplw', '{BF?}{RA},{RB}'],
  ['cmpl', always, 'cmpld', '{BF?}{RA},{RB}'],
];

/** The 6-bit shift of MD and XS forms. */
export const sh = (f: Fields): number => f('shLow') | (f('shHigh') << 5);
/** The 6-bit mask bound of MD and MDS forms. */
export const bound = (f: Fields): number => f('boundLow') | (f('boundHigh') << 5);
const coversWord = (f: Fields): boolean => f('MB') === 0 && f('ME') === 31;

/** Rotates that clear, extract or shift (appendix C.8). */
const ROTATES: readonly Row[] = [
  ['rlwinm', coversWord, 'rotlwi', '{RA},{RS},{SH}'],
  ['rlwinm', (f) => f('SH') === 0 && f('ME') === 31, 'clrlwi', '{RA},{RS},{MB}'],
  ['rlwinm', (f) => f('MB') === 0 && f('ME') === 31 - f('SH'), 'slwi', '{RA},{RS},{SH}'],
  ['rlwinm', (f) => f('ME') === 31 && f('SH') === 32 - f('MB'), 'srwi', '{RA},{RS},{MB}'],
  ['rlwinm', (f) => f('SH') === 0 && f('MB') === 0, 'clrrwi', '{RA},{RS},{31-ME}'],
  ['rlwnm', coversWord, 'rotlw', '{RA},{RS},{RB}'],
  ['rldicl', (f) => bound(f) === 0, 'rotldi', '{RA},{RS},{sh}'],
  ['rldicl', (f) => sh(f) === 0, 'clrldi', '{RA},{RS},{mb}'],
  ['rldicl', (f) => sh(f) === 64 - bound(f), 'srdi', '{RA},{RS},{mb}'],
  ['rldicr', (f) => sh(f) === 0, 'clrrdi', '{RA},{RS},{63-me}'],
  ['rldicr', (f) => bound(f) === 63 - sh(f), 'sldi', '{RA},{RS},{sh}'],
  ['rldcl', (f) => bound(f) === 0, 'rotld', '{RA},{RS},{RB}'],
];

const CONDITION_REGISTER: readonly Row[] = [
  ['creqv', (f) => f('BT') === f('BA') && f('BT') === f('BB'), 'crset', '{BT}'],
  ['crxor', (f) => f('BT') === f('BA') && f('BT') === f('BB'), 'crclr', '{BT}'],
  ['cror', (f) => f('BA') === f('BB'), 'crmove', '{BT},{BA}'],
  ['crnor', (f) => f('BA') === f('BB'), 'crnot', '{BT},{BA}'],
  ['mtcrf', (f) => f('FXM') === 255, 'mtcr', '{RS}'],
];

/** Touch hints by the range of TH: cache target, data stream, transient. */
function touches(of: 'dcbt' | 'dcbtst'): Row[] {
  return [
    [of, isZero('TH'), `${of}ct`, '{RA},{RB}'],
    [of, (f) => f('TH') < 8, `${of}ct`, '{RA},{RB},{TH}'],
    [of, (f) => f('TH') === 8, `${of}ds`, '{RA},{RB}'],
    [of, (f) => f('TH') < 16, `${of}ds`, '{RA},{RB},{TH}'],
    [of, (f) => f('TH') === 16, `${of}t`, '{RA},{RB}'],
  ];
}

/** Operands at the end that are left out where they and all that follow are 0. */
function invalidation(of: 'tlbie' | 'tlbiel'): Row[] {
  return [
    [of, (f) => (f('RIC') | f('PRS') | f('R')) === 0, of, '{RB},{RS}'],
    [of, (f) => (f('PRS') | f('R')) === 0, of, '{RB},{RS},{RIC}'],
    [of, isZero('R'), of, '{RB},{RS},{RIC},{PRS}'],
  ];
}

const SYSTEM: readonly Row[] = [
  ...touches('dcbt'),
  ...touches('dcbtst'),
  ['tlbiel', (f) => (f('RS') | f('RIC') | f('PRS') | f('R')) === 0, 'tlbiel', '{RB}'],
  ...invalidation('tlbie'),
  ...invalidation('tlbiel'),
  ['sc', isZero('LEV'), 'sc', ''],
  ['sync', isZero('L2'), 'hwsync', ''],
  ['sync', (f) => f('L2') === 1, 'lwsync', ''],
  ['sync', (f) => f('L2') === 2, 'ptesync', ''],
  ['dcbf', isZero('L2'), 'dcbf', '{RA},{RB}'],
  ['dcbf', (f) => f('L2') === 1, 'dcbfl', '{RA},{RB}'],
  ['dcbf', (f) => f('L2') === 3, 'dcbflp', '{RA},{RB}'],
  ['icbt', isZero('CT'), 'icbt', '{RA},{RB}'],
  ['mtmsr', isZero('LA'), 'mtmsr', '{RS}'],
  ['mtmsrd', isZero('LA'), 'mtmsrd', '{RS}'],
  ['mtmsr', always, 'mtmsr', '{RS},{LA}'],
  ['mtmsrd', always, 'mtmsrd', '{RS},{LA}'],
  ['darn', always, 'darn', '{RT},{LA}'],
  ['slbia', isZero('IH'), 'slbia', ''],
  ['wait', isZero('WC'), 'wait', ''],
  ...['lbarx', 'lharx', 'lwarx', 'ldarx'].map((name): Row => [name, (f) => f('EH') === 1, name, '{RT},{RA},{RB},{EH}']),
  ['lqarx', (f) => f('EH') === 1, 'lqarx', '{RTp},{RA},{RB},{EH}'],
];

/** Fields of the FPSCR are shown by number. */
const STATUS: readonly Row[] = [
  ['mtfsf', (f) => (f('LF') | f('W')) === 0, 'mtfsf', '{FLM},{FRB}'],
  ['mtfsf', isZero('W'), 'mtfsf', '{FLM},{FRB},{LF}'],
  ['mtfsf', always, 'mtfsf', '{FLM},{FRB},{LF},{W}'],
  ['mtfsfi', isZero('W'), 'mtfsfi', '{BF#},{U}'],
  ['mtfsfi', always, 'mtfsfi', '{BF#},{U},{W}'],
  ['mtfsb0', always, 'mtfsb0', '{BT#}'],
  ['mtfsb1', always, 'mtfsb1', '{BT#}'],
];

/** SPRs with a mnemonic of their own, by number. */
export const SPR_MNEMONICS: ReadonlyMap<
  number,
  { readonly name: string; readonly read: boolean; readonly write: boolean }
> = new Map(
  (
    [
      ['xer', 1],
      ['udscr', 3],
      ['rtcu', 4, 'r'],
      ['rtcl', 5, 'r'],
      ['lr', 8],
      ['ctr', 9],
      ['uamr', 13],
      ['dscr', 17],
      ['dsisr', 18],
      ['dar', 19],
      ['rtcu', 20, 'w'],
      ['rtcl', 21, 'w'],
      ['dec', 22],
      ['sdr1', 25],
      ['srr0', 26],
      ['srr1', 27],
      ['cfar', 28],
      ['amr', 29],
      ['tfhar', 128, 'w'],
      ['tfiar', 129, 'w'],
      ['texasr', 130, 'w'],
      ['texasru', 131, 'w'],
      ['ctrl', 136, 'r'],
      ['ctrl', 152, 'w'],
      ['uamor', 157],
      ['vrsave', 256],
      ['tb', 268, 'r'],
      ['tbu', 269, 'r'],
      ['asr', 280],
      ['ear', 282],
      ['tbl', 284, 'w'],
      ['tbu', 285, 'w'],
      ['pvr', 287, 'r'],
      ['hmer', 336],
      ['hmeer', 337],
      ['amor', 349],
      ['ummcr2', 769],
      ['ummcra', 770],
      ['upmc1', 771],
      ['upmc2', 772],
      ['upmc3', 773],
      ['upmc4', 774],
      ['upmc5', 775],
      ['upmc6', 776],
      ['ummcr0', 779],
      ['usiar', 780, 'r'],
      ['usdar', 781, 'r'],
      ['ummcr1', 782, 'r'],
      ['mmcra', 786, 'w'],
      ['pmc1', 787, 'w'],
      ['pmc2', 788, 'w'],
      ['pmc3', 789, 'w'],
      ['pmc4', 790, 'w'],
      ['pmc5', 791, 'w'],
      ['pmc6', 792, 'w'],
      ['mmcr0', 795, 'w'],
      ['mmcr1', 798, 'w'],
      ['bescrs', 800],
      ['bescrsu', 801],
      ['bescrr', 802],
      ['bescrru', 803],
      ['ebbhr', 804],
      ['ebbrr', 805],
      ['bescr', 806],
      ['tar', 815],
      ['ic', 848],
      ['vtb', 849],
      ['ppr', 896],
      ['ppr32', 898],
    ] as const
  ).map(([name, number, access]) => [number, { name, read: access !== 'w', write: access !== 'r' }]),
);

/** SPRs whose mnemonic counts them: the first number and how many there are. */
export const SPR_SERIES: readonly (readonly [name: string, first: number, count: number, step: number])[] = [
  ['sprg', 272, 4, 1],
  ['ibatu', 528, 4, 2],
  ['ibatl', 529, 4, 2],
  ['dbatu', 536, 4, 2],
  ['dbatl', 537, 4, 2],
];

/** In the order in which they are tried. */
export const ALIASES: readonly Alias[] = [
  ...TRAPS,
  ...FIXED_POINT,
  ...ROTATES,
  ...CONDITION_REGISTER,
  ...SYSTEM,
  ...STATUS,
].map(([of, when, as, operands]) => ({ of, when, as, operands }));

const oneHot = (mask: number): boolean => mask !== 0 && (mask & (mask - 1)) === 0;
const loadUpdates = ['lbzu', 'lhzu', 'lhau', 'lwzu', 'ldu', 'lbzux', 'lhzux', 'lhaux', 'lwzux', 'lwaux', 'ldux'];
const storeUpdates = ['stbu', 'sthu', 'stwu', 'stdu', 'stbux', 'sthux', 'stwux', 'stdux'];
const floatUpdates = ['lfsu', 'lfdu', 'lfsux', 'lfdux', 'stfsu', 'stfdu', 'stfsux', 'stfdux'];

/** Invalid forms, which execute somehow but which the assembler refuses: they have no text. */
export const INVALID_FORMS: ReadonlyMap<string, Alias['when']> = new Map<string, Alias['when']>([
  ...loadUpdates.map((name) => [name, (f: Fields) => f('RA') === 0 || f('RA') === f('RT')] as const),
  ...[...storeUpdates, ...floatUpdates].map((name) => [name, isZero('RA')] as const),
  ['lmw', (f) => f('RA') >= f('RT')],
  ['lswi', (f) => f('RA') === f('RT')],
  ['lswx', (f) => f('RA') === f('RT') || f('RB') === f('RT')],
  ['lq', (f) => f('RA') === f('RT')],
  ['lqarx', (f) => f('RA') === f('RT') || f('RB') === f('RT')],
  ['mfocrf', (f) => !oneHot(f('FXM'))],
  ['mtocrf', (f) => !oneHot(f('FXM'))],
  ['sync', (f) => f('L2') === 3],
  ['dcbf', (f) => f('L2') === 2],
  ['wait', (f) => f('WC') !== 0],
  ['eieio', (f) => f('RT') !== 0],
  ['mftb', always],
]);
