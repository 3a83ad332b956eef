import { ASCE, type SystemCase } from './system-program.ts';

/** Pieces of code for `system-program.ts`. Labels are numbers: 1 to 4 belong to what is here. */

/** PSW masks: 64-bit addressing in supervisor state, and what is added to it. */
const PSW = { base: 0x180000000n, dat: 0x0400000000000000n, problem: 0x0001000000000000n };
const KEY = (key: number): bigint => BigInt(key) << 52n;

const lines = (...text: readonly string[]): string => text.join('\n');

/** Goes on with another PSW mask. */
const loadPsw = (mask: bigint): string =>
  lines('larl %r11,1f', 'lpswe 0(%r11)', '.balign 8', `1: .quad 0x${mask.toString(16)},2f`, '2:');

/** Translation on, with an ASCE in CR1. */
const dat = (asce: string, mask = 0n): string =>
  lines(
    'larl %r11,3f',
    'lctlg %c1,%c1,0(%r11)',
    'j 4f',
    '.balign 8',
    `3: .quad ${asce}`,
    '4:',
    loadPsw(PSW.base | PSW.dat | mask),
  );

/** Sets a control register. */
const control = (n: number, value: string): string =>
  lines('larl %r11,3f', `lctlg %c${n},%c${n},0(%r11)`, 'j 4f', '.balign 8', `3: .quad ${value}`, '4:');

const address = (register: string, value: bigint): string =>
  lines(
    `llihf ${register},0x${(value >> 32n).toString(16)}`,
    `iilf ${register},0x${(value & 0xffffffffn).toString(16)}`,
  );

/** The key of the page with `data`. */
const key = (value: number): string => lines(`lghi %r1,${value}`, 'sske %r1,%r12');

/** CR0 of the pieces with more bits. */
const cr0 = (bits: number): string => control(0, `0x${(0x8400e0 + bits).toString(16)}`);
const LOW_ADDRESS_PROTECTION = 0x10000000;
const STORAGE_OVERRIDE = 0x01000000;
const SECONDARY_SPACE = 0x04000000;
const EXTRACTION = 0x08000000;

const load = (name: string, asce: string, at: bigint): SystemCase => [
  `load: ${name}`,
  lines(dat(asce), address('%r1', at), 'lg %r2,0(%r1)'),
];
const store = (name: string, asce: string, at: bigint): SystemCase => [
  `store: ${name}`,
  lines(dat(asce), address('%r1', at), 'lghi %r2,0x55', 'stg %r2,16(%r1)'),
];

const GIB = 1n << 30n;

const TRANSLATION: readonly SystemCase[] = [
  load('an identity page', ASCE.segment, 0x180000n),
  store('an identity page', ASCE.segment, 0x180000n),
  store('a page under another name', ASCE.segment, 0x82000n),
  load('an invalid page', ASCE.segment, 0x80123n),
  store('an invalid page', ASCE.segment, 0x80123n),
  store('a protected page', ASCE.segment, 0x81010n),
  load('a protected page', ASCE.segment, 0x81010n),
  load('a page entry with a bit that must be 0', ASCE.segment, 0x83000n),
  load('a page beyond storage', ASCE.segment, 0x84000n),
  load('two pages, the second of which is invalid', ASCE.segment, 0x7fffcn),
  store('two pages, the second of which is invalid', ASCE.segment, 0x7ffecn),
  load('an invalid segment', ASCE.segment, 0x400000n),
  load('a frame of 1 MiB', ASCE.segment, 0x500000n),
  load('a segment entry of a wrong type', ASCE.segment, 0x600000n),
  load('a page table beyond storage', ASCE.segment, 0x700000n),
  store('a protected segment', ASCE.segment, 0x880000n),
  store('a protected frame of 1 MiB', ASCE.segment, 0x900000n),
  load('a common segment', ASCE.segment, 0xa00000n),
  load('a common segment in a private space', ASCE.private, 0xa00000n),
  load('beyond a segment table', ASCE.segment, 2n * GIB),
  load('beyond the length of a segment table', ASCE.short, 0x20000000n),
  load('region third', ASCE.third, 0x180000n),
  load('region second', ASCE.second, 0x180000n),
  load('region first', ASCE.first, 0x180000n),
  load('an invalid region-third entry', ASCE.third, 2n * GIB),
  load('a region-third entry of a wrong type', ASCE.third, 4n * GIB),
  load('a table that begins late', ASCE.third, 6n * GIB),
  load('an invalid region-second entry', ASCE.second, 1n << 42n),
  load('an invalid region-first entry', ASCE.first, 1n << 53n),
  load('beyond a region-third table', ASCE.third, 1n << 42n),
  load('beyond a region-second table', ASCE.second, 1n << 53n),
  load('real-space designation', ASCE.real, 0x180000n),
  ['fetch: an invalid page', lines(dat(ASCE.segment), address('%r1', 0x80100n), 'br %r1')],
  ['fetch: an invalid segment', lines(dat(ASCE.segment), address('%r1', 0x400100n), 'br %r1')],
  ['move: the target is protected', lines(dat(ASCE.segment), address('%r1', 0x81000n), 'mvc 0(9,%r1),0(%r12)')],
  ['lra', lines(dat(ASCE.segment), address('%r1', 0x82456n), 'lrag %r2,0(%r1)', 'lra %r3,0(%r1)')],
  ['lra: a frame', lines(dat(ASCE.segment), address('%r1', 0x512345n), 'lrag %r2,0(%r1)')],
  [
    'ipte',
    lines(
      dat(ASCE.segment),
      `llilf %r3,0x210800`,
      'lg %r2,0(%r12)',
      'llilf %r4,0x181000',
      'ipte %r3,%r4',
      'lg %r5,8(%r3)',
      'llilf %r6,0x181000',
      'stg %r6,8(%r3)',
    ),
  ],
];

const PROTECTION: readonly SystemCase[] = [
  ['low-address protection: 0x1ff', lines(cr0(LOW_ADDRESS_PROTECTION), 'mvi 0x1ff(%r0),1')],
  ['low-address protection: 0x200', lines(cr0(LOW_ADDRESS_PROTECTION), 'mvi 0x200(%r0),0')],
  ['low-address protection: 0x1100', lines(cr0(LOW_ADDRESS_PROTECTION), 'lghi %r1,0x1100', 'mvi 0(%r1),0')],
  ['low-address protection: 0x1200', lines(cr0(LOW_ADDRESS_PROTECTION), 'lghi %r1,0x1200', 'mvi 0(%r1),0')],
  ['low-address protection: 0x2000', lines(cr0(LOW_ADDRESS_PROTECTION), 'lghi %r1,0x2000', 'mvi 0(%r1),0')],
  ['low-address protection with DAT', lines(cr0(LOW_ADDRESS_PROTECTION), dat(ASCE.segment), 'mvi 0x1f0(%r0),1')],
  ['low-address protection, private space', lines(cr0(LOW_ADDRESS_PROTECTION), dat(ASCE.private), 'mvi 0x1f8(%r0),0')],
  ['keys: as set', lines(key(0x36), 'iske %r2,%r12', 'rrbe %r0,%r12', 'iske %r3,%r12')],
  [
    'keys: reference and change',
    lines(key(0x00), 'lg %r2,0(%r12)', 'iske %r3,%r12', 'stg %r2,8(%r12)', 'iske %r4,%r12'),
  ],
  ['keys: the same key', lines(key(0x38), loadPsw(PSW.base | KEY(3)), 'mvi 5(%r12),7', 'lg %r2,0(%r12)')],
  ['keys: another key loads', lines(key(0x30), loadPsw(PSW.base | KEY(4)), 'lg %r2,0(%r12)')],
  ['keys: another key stores', lines(key(0x30), loadPsw(PSW.base | KEY(4)), 'mvi 5(%r12),7')],
  ['keys: another key loads what is fetch-protected', lines(key(0x38), loadPsw(PSW.base | KEY(4)), 'lg %r2,0(%r12)')],
  ['keys: with DAT', lines(key(0x38), dat(ASCE.segment, KEY(4)), 'lg %r2,0(%r12)')],
  [
    'keys: storage override',
    lines(cr0(STORAGE_OVERRIDE), key(0x98), loadPsw(PSW.base | KEY(4)), 'mvi 5(%r12),7', 'lg %r2,0(%r12)'),
  ],
  [
    'keys: a key becomes another after an access',
    lines(loadPsw(PSW.base), 'stg %r2,0(%r12)', key(0x38), loadPsw(PSW.base | KEY(4)), 'stg %r2,8(%r12)'),
  ],
  ['spka', lines(key(0x38), 'spka 0x40(%r0)', 'epsw %r2,%r3', 'lg %r4,0(%r12)')],
  ['tprot: all', 'tprot 0(%r12),0(%r0)'],
  ['tprot: a key that loads', lines(key(0x30), 'tprot 0(%r12),0x40(%r0)')],
  ['tprot: a key that may not', lines(key(0x38), 'tprot 0(%r12),0x40(%r0)')],
  ['tprot: a protected page', lines(dat(ASCE.segment), address('%r1', 0x81000n), 'tprot 0(%r1),0(%r0)')],
  ['tprot: an invalid page', lines(dat(ASCE.segment), address('%r1', 0x80000n), 'tprot 0(%r1),0(%r0)')],
  ['tprot: no storage', lines(address('%r1', 0x70000000n), 'tprot 0(%r1),0(%r0)')],
  ['iske: no storage', lines(address('%r1', 0x70000000n), 'iske %r2,%r1')],
  ['sske: no storage', lines(address('%r1', 0x70000000n), 'sske %r2,%r1')],
];

const PSW_AND_CONTROLS: readonly SystemCase[] = [
  ['svc by EXECUTE', lines('larl %r1,1f', 'ex %r0,0(%r1)', '1: svc 7')],
  ['operation', '.short 0'],
  ['a privileged instruction in problem state', lines(loadPsw(PSW.base | PSW.problem), 'ssm 0(%r12)')],
  [
    'a privileged instruction by EXECUTE',
    lines(loadPsw(PSW.base | PSW.problem), 'larl %r1,1f', 'ex %r0,0(%r1)', '1: ssm 0(%r12)'),
  ],
  ['divide by zero', 'dr %r2,%r4'],
  ['fixed-point overflow', lines('llilf %r1,0x08000000', 'spm %r1', 'iilf %r2,0x7fffffff', 'ahi %r2,1')],
  ['no storage', lines(address('%r1', 0x70000000n), 'lg %r2,0(%r1)')],
  ['an odd register pair', '.short 0x1d34'],
  ['unaligned compare and swap', 'cs %r2,%r3,1(%r12)'],
  ['execute of execute', lines('larl %r1,1f', 'ex %r0,0(%r1)', '1: ex %r0,0(%r1)')],
  ['compare and trap', 'cgit %r2,0,8'],
  ['BFP without AFP', lines(control(0, '0x8000e0'), 'adbr %f0,%f2')],
  ['FPR 1 without AFP', lines(control(0, '0x8000e0'), 'ld %f1,0(%r12)')],
  ['monitor call, disabled', 'mc 5(%r12),3'],
  ['monitor call', lines(control(8, '0x1000'), 'mc 5(%r12),3')],
  ['monitor call, no such class', lines(control(8, '0x1000'), 'mc 5(%r12),16')],
  [
    'stnsm, stosm, ssm',
    lines('stosm 0(%r12),0x02', 'stnsm 1(%r12),0xfd', 'stosm 2(%r12),0', 'ssm 4(%r12)', 'epsw %r2,%r3'),
  ],
  ['epsw', lines('epsw %r2,%r3', 'epsw %r4,%r0')],
  ['stctg, lctlg', lines('stctg %c0,%c15,0(%r12)', 'lctlg %c9,%c11,0(%r12)', 'stctg %c9,%c11,128(%r12)')],
  ['stctl, lctl', lines('stctl %c14,%c1,0(%r12)', 'lctl %c3,%c4,0(%r12)', 'stctg %c3,%c4,64(%r12)')],
  ['lctlg, unaligned', 'lctlg %c1,%c1,4(%r12)'],
  ['lctl, unaligned', 'lctl %c1,%c1,2(%r12)'],
  ['stpx, stap', lines('stpx 0(%r12)', 'stap 8(%r12)')],
  [
    'spx',
    lines(
      'llilf %r1,0x400000',
      'mvc 8(4,%r12),16(%r12)',
      'st %r1,0(%r12)',
      'spx 0(%r12)',
      'stpx 4(%r12)',
      'llilf %r3,0x12345678',
      'st %r3,0x300(%r0)',
      'llilf %r1,0x400300',
      'l %r2,0(%r1)',
      'mvhi 0x300(%r0),0',
      'spx 8(%r12)',
      'l %r4,0(%r1)',
    ),
  ],
  ['spx, no storage', lines('llilf %r1,0x7f000000', 'st %r1,0(%r12)', 'spx 0(%r12)')],
  [
    'lpsw',
    lines('larl %r1,1f', 'lpsw 0(%r1)', '.balign 8', '1: .long 0x00081000', '.long 0x80000000+2f', '2: epsw %r2,%r3'),
  ],
  ['lpswe, unaligned', 'lpswe 4(%r12)'],
  ['an odd address', lines('larl %r1,1f', 'la %r1,1(%r1)', '1: lghi %r2,1')],
  ['sac: DAT is off', lines(cr0(SECONDARY_SPACE), 'lghi %r2,5')],
  [
    'sac: home space',
    lines(
      cr0(SECONDARY_SPACE),
      control(13, ASCE.segment),
      control(7, ASCE.segment),
      dat(ASCE.segment),
      'sacf 0x300',
      'epsw %r3,%r4',
      'sacf 0x100',
      'epsw %r5,%r6',
      'sacf 0',
      'epsw %r7,%r8',
    ),
  ],
  [
    'sac: secondary space',
    lines(
      cr0(SECONDARY_SPACE),
      control(7, ASCE.private),
      dat(ASCE.segment),
      address('%r1', 0xa00000n),
      'lg %r2,0(%r1)',
      'sacf 0x100',
      'lg %r3,0(%r1)',
    ),
  ],
  ['ipk', lines(cr0(EXTRACTION), 'spka 0x70(%r0)', 'lghi %r2,-1', 'ipk')],
  ['spka in problem state, not allowed', lines(loadPsw(PSW.base | PSW.problem | KEY(3)), 'spka 0x40(%r0)')],
  [
    'spka in problem state, allowed',
    lines(control(3, '0x08000000'), loadPsw(PSW.base | PSW.problem | KEY(4)), 'spka 0x40(%r0)'),
  ],
  [
    'lura, stura',
    lines(
      'llilf %r2,0x55667788',
      'stura %r2,%r12',
      'lura %r3,%r12',
      'la %r4,8(%r12)',
      'sturg %r12,%r4',
      'lurag %r5,%r4',
    ),
  ],
  ['stura, unaligned', lines('la %r4,2(%r12)', 'stura %r2,%r4')],
  ['csp', lines('la %r4,8(%r12)', 'lghi %r2,0', 'lghi %r3,77', 'csp %r2,%r4', 'ipm %r5', 'csp %r2,%r4')],
  ['sckc, stckc', lines('llilf %r1,0x12345678', 'stg %r1,0(%r12)', 'sckc 0(%r12)', 'stckc 8(%r12)')],
  ['sckc, unaligned', 'sckc 4(%r12)'],
  [
    'ectg',
    lines(
      'mvi 7(%r12),1',
      'mvi 15(%r12),2',
      'mvi 23(%r12),3',
      'la %r3,16(%r12)',
      'ectg 0(%r12),8(%r12),%r3',
      'lghi %r0,0',
    ),
  ],
  ['ectg, no storage', lines(address('%r3', 0x70000000n), 'ectg 0(%r12),8(%r12),%r3')],
  ['sckpf', lines('llilf %r0,0xabcd', 'sckpf')],
  ['sckpf, too much', lines('llilf %r0,0x1abcd', 'sckpf')],
  [
    'clock comparator',
    lines(
      'stckf 0(%r12)',
      'lg %r1,0(%r12)',
      'aghi %r1,4096',
      'stg %r1,0(%r12)',
      'sckc 0(%r12)',
      'lghi %r1,0',
      'xc 0(8,%r12),0(%r12)',
      control(0, '0x840800'),
      loadPsw(PSW.base | 0x0100000000000000n),
      'j .',
    ),
  ],
  [
    'CPU timer',
    lines(
      'lghi %r1,4096',
      'stg %r1,0(%r12)',
      'spt 0(%r12)',
      control(0, '0x840400'),
      loadPsw(PSW.base | 0x0100000000000000n),
      'j .',
    ),
  ],
  [
    'emergency signal to itself',
    lines('sigp %r0,%r0,3', control(0, '0x844000'), loadPsw(PSW.base | 0x0100000000000000n), 'j .'),
  ],
  [
    'external call to itself',
    lines(
      'sigp %r0,%r0,2',
      'sigp %r2,%r0,2',
      'ipm %r3',
      control(0, '0x842000'),
      loadPsw(PSW.base | 0x0100000000000000n),
      'j .',
    ),
  ],
  ['sigp: sense', lines('sigp %r2,%r0,1')],
  ['sigp: no such CPU', lines('lghi %r4,9', 'sigp %r2,%r4,1')],
  ['sigp: no such order', lines('lghi %r4,0', 'sigp %r2,%r4,0x77')],
  ['diag without such a code', 'diag %r2,%r3,0x7f'],
  [
    'mvcp',
    lines(
      cr0(SECONDARY_SPACE),
      control(7, ASCE.segment),
      dat(ASCE.segment),
      'mvi 32(%r12),0x5a',
      'lghi %r2,9',
      'lghi %r3,0',
      'la %r4,32(%r12)',
      'mvcp 64(%r2,%r12),0(%r4),%r3',
    ),
  ],
  [
    'mvcs, longer than 256',
    lines(
      cr0(SECONDARY_SPACE),
      control(7, ASCE.segment),
      dat(ASCE.segment),
      'mvi 7(%r12),0x5a',
      'llilf %r1,0x190000',
      'lghi %r2,300',
      'mvcs 0(%r2,%r1),0(%r12),%r3',
      'ipm %r5',
      'lg %r6,0(%r1)',
    ),
  ],
  ['mvcos', lines('mvi 3(%r12),0x77', 'lghi %r2,6', 'lghi %r0,0', 'mvcos 32(%r12),0(%r12),%r2')],
  [
    'mvcos with DAT',
    lines(dat(ASCE.segment), 'mvi 3(%r12),0x77', 'lghi %r2,6', 'lghi %r0,0', 'mvcos 32(%r12),0(%r12),%r2'),
  ],
  [
    'mvcos to the secondary space, which is not there',
    lines(dat(ASCE.segment), 'lghi %r2,6', 'llilf %r0,0x00810000', 'mvcos 32(%r12),0(%r12),%r2'),
  ],
  [
    'mvcos from the secondary space',
    lines(
      cr0(SECONDARY_SPACE),
      control(7, ASCE.segment),
      dat(ASCE.segment),
      'mvi 3(%r12),0x77',
      'lghi %r2,6',
      'llilf %r0,0x81',
      'mvcos 32(%r12),0(%r12),%r2',
    ),
  ],
  [
    'mvcos, longer than a page',
    lines(dat(ASCE.segment), 'llilf %r2,5000', 'llilf %r1,0x190000', 'mvcos 0(%r1),0(%r1),%r2', 'ipm %r3'),
  ],
  [
    'mvcos, home space in problem state',
    lines(dat(ASCE.segment, PSW.problem), 'lghi %r2,6', 'llilf %r0,0x00c10000', 'mvcos 32(%r12),0(%r12),%r2'),
  ],
  [
    'mvcos with a key that is not allowed',
    lines(dat(ASCE.segment, PSW.problem), 'lghi %r2,6', 'llilf %r0,0x4002', 'mvcos 32(%r12),0(%r12),%r2'),
  ],
  ['mvcp without secondary space', lines(dat(ASCE.segment), 'mvcp 64(%r2,%r12),0(%r12),%r3')],
  ['mvcp without DAT', lines(cr0(SECONDARY_SPACE), 'mvcp 64(%r2,%r12),0(%r12),%r3')],
  [
    'mvcp with a key that is not allowed',
    lines(cr0(SECONDARY_SPACE), dat(ASCE.segment, PSW.problem), 'lghi %r3,0x40', 'mvcp 64(%r2,%r12),0(%r12),%r3'),
  ],
  ['mvck', lines('mvi 3(%r12),0x77', 'lghi %r2,6', 'lghi %r3,0', 'mvck 32(%r2,%r12),0(%r12),%r3')],
  ['sigp: sense running', 'sigp %r2,%r0,21'],
  ['mvcdk', lines(key(0x30), 'mvi 3(%r12),0x77', 'lghi %r0,6', 'lghi %r1,0x30', 'mvcdk 32(%r12),0(%r12)')],
  ['mvcdk with a wrong key', lines(key(0x30), 'lghi %r0,6', 'lghi %r1,0x40', 'mvcdk 32(%r12),0(%r12)')],
  ['mvcsk with a wrong key', lines(key(0x38), 'lghi %r0,6', 'lghi %r1,0x40', 'mvcsk 32(%r12),0(%r12)')],
  ['mvpg', lines('lghi %r0,0', 'mvi 9(%r12),0x99', 'llilf %r2,0x190000', 'mvpg %r2,%r12', 'lg %r3,8(%r2)')],
  ['mvpg from an invalid page', lines(dat(ASCE.segment), 'lghi %r0,0x100', address('%r2', 0x80000n), 'mvpg %r12,%r2')],
  ['mvpg to an invalid page', lines(dat(ASCE.segment), 'lghi %r0,0x100', address('%r2', 0x80000n), 'mvpg %r2,%r12')],
  ['pfmf: clear and set the key', lines('mvi 0(%r12),1', 'llilf %r1,0x30040', 'pfmf %r1,%r12', 'iske %r2,%r12')],
  ['sam24', lines('lghi %r1,-1', 'sam24', 'la %r3,0(%r1)', 'tam', 'ipm %r2', 'sam64')],
  ['sam31', lines('lghi %r1,-1', 'sam31', 'la %r3,0(%r1)', 'tam', 'ipm %r2', 'sam64')],
  ['sam64', lines('lghi %r1,-1', 'sam31', 'sam64', 'la %r3,0(%r1)', 'tam', 'ipm %r2')],
  ['stfle, as long as asked for', lines('lghi %r0,0', 'llilf %r2,0x190000', 'stfle 0(%r2)', 'ipm %r3')],
];

export const SYSTEM_CASES: readonly SystemCase[] = [...TRANSLATION, ...PROTECTION, ...PSW_AND_CONTROLS];

/** Where QEMU 7.2 is no judge, and why. */
const NO_KEYS = 'QEMU has storage keys, but no protection by them';
const NOT_THERE = 'QEMU 7.2 takes it for no instruction';

export const TOLERATED: ReadonlyMap<string, string> = new Map([
  ['keys: another key stores', NO_KEYS],
  ['keys: another key loads what is fetch-protected', NO_KEYS],
  ['keys: with DAT', NO_KEYS],
  ['keys: a key becomes another after an access', NO_KEYS],
  ['spka', NO_KEYS],
  ['tprot: a key that loads', NO_KEYS],
  ['tprot: a key that may not', NO_KEYS],
  ['tprot: a protected page', 'QEMU leaves the TEID of the exception that TPROT found'],
  ['tprot: an invalid page', 'QEMU leaves the TEID of the exception that TPROT found'],
  ['lra: a frame', 'QEMU 7.2 gives nothing but the place in the page'],
  ['fixed-point overflow', 'QEMU 7.2 does not interrupt for it'],
  ['lpsw', 'QEMU 7.2 keeps bit 12 and loses the addressing mode'],
  ['ectg', 'QEMU 7.2 gives the address of the second operand, not what is there'],
  ['ipk', NOT_THERE],
  ['mvck', NOT_THERE],
  ['mvcdk', NOT_THERE],
  ['mvcdk with a wrong key', NOT_THERE],
  ['mvcsk with a wrong key', NOT_THERE],
  ['pfmf: clear and set the key', NOT_THERE],
  ['spka in problem state, allowed', 'for QEMU 7.2 it is privileged'],
  ['stura, unaligned', 'QEMU 7.2 does not look'],
]);
