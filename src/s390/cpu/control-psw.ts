import { ADDRESS_SPACE, PGM, PSW, PSW_AS_SHIFT, PSW_KEY_SHIFT } from '../abi.ts';
import type { Control, Controls } from './control-work.ts';
import { expandPsw } from './psw.ts';

/** CR0 bit 36: problem state may ask for keys, ASNs and modes. */
const EXTRACTION_AUTHORITY = 1n << 27n;
/** CR0 bit 33: SSM is a special-operation exception. */
const SSM_SUPPRESSION = 1n << 30n;
/** CR0 bit 37: secondary-space control. */
const SECONDARY_SPACE = 1n << 26n;
const LOW_32 = 0xffffffffn;
const HIGH_32 = 0xffffffff00000000n;

const lpsw: Control = (w) => {
  const at = w.address(1);
  if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
  const short = w.load(at, 8);
  if (short === null) return 'fault';
  const psw = expandPsw(short);
  if (psw === null) return { program: PGM.SPECIFICATION };
  return { psw, length: 4 };
};

const lpswe: Control = (w) => {
  const at = w.address(2);
  if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
  const bytes = w.read(at, 16);
  if (bytes === null) return 'fault';
  const view = new DataView(bytes.buffer);
  return { psw: { mask: view.getBigUint64(0), address: view.getBigUint64(8) }, length: w.length };
};

/** The system mask is the first byte of the PSW; its bits 0 and 2 to 4 must be 0. */
const SYSTEM_MASK = 0xff00000000000000n;
const SYSTEM_MASK_INVALID = 0xb8n;

function setSystemMask(w: Parameters<Control>[0], mask: bigint): ReturnType<Control> {
  const next = (w.core.pswMask & ~SYSTEM_MASK) | (mask << 56n);
  if ((mask & SYSTEM_MASK_INVALID) !== 0n) {
    // It is loaded all the same: the old PSW of the specification exception has it, and is behind the instruction.
    return { psw: { mask: next, address: BigInt.asUintN(64, w.core.context.pc + BigInt(w.length)) }, length: w.length };
  }
  w.core.setMask(next);
  return 'done';
}

const systemMask = (w: Parameters<Control>[0]): bigint => w.core.pswMask >> 56n;

/** Modes of SET ADDRESS SPACE CONTROL: operand values to `ADDRESS_SPACE`. */
const SAC_CODES = [ADDRESS_SPACE.primary, ADDRESS_SPACE.secondary, ADDRESS_SPACE.accessRegister, ADDRESS_SPACE.home];

const sac: Control = (w) => {
  const { core } = w;
  const code = Number((w.address(2) >> 8n) & 15n);
  const space = SAC_CODES[code];
  if (space === undefined) return { program: PGM.SPECIFICATION };
  if (!core.pswHas(PSW.DAT)) return { program: PGM.SPECIAL_OPERATION };
  if (space === ADDRESS_SPACE.home) {
    if (core.isProblemState) return { program: PGM.PRIVILEGED_OPERATION };
  } else if ((core.cr(0) & SECONDARY_SPACE) === 0n && space !== ADDRESS_SPACE.primary) {
    return { program: PGM.SPECIAL_OPERATION };
  }
  core.setMask((core.pswMask & ~PSW.AS) | (BigInt(space) << PSW_AS_SHIFT));
  return 'done';
};

const extraction = (w: Parameters<Control>[0]): boolean =>
  !w.core.isProblemState || (w.core.cr(0) & EXTRACTION_AUTHORITY) !== 0n;

/** What works on the PSW. */
export const CONTROL_PSW: Controls = {
  lpsw,
  lpswe,
  ssm: (w) => {
    if ((w.core.cr(0) & SSM_SUPPRESSION) !== 0n) return { program: PGM.SPECIAL_OPERATION };
    const mask = w.load(w.address(1), 1);
    return mask === null ? 'fault' : setSystemMask(w, mask);
  },
  stnsm: (w) => {
    const mask = systemMask(w);
    if (!w.store(w.address(1), 1, mask)) return 'fault';
    return setSystemMask(w, mask & BigInt(w.field('I2')));
  },
  stosm: (w) => {
    const mask = systemMask(w);
    if (!w.store(w.address(1), 1, mask)) return 'fault';
    return setSystemMask(w, mask | BigInt(w.field('I2')));
  },
  spm: (w) => {
    const bits = (w.gr(w.field('R1')) >> 24n) & 0x3fn;
    w.core.setMask((w.core.pswMask & ~(PSW.CC | PSW.PROGRAM_MASK)) | (bits << 40n));
    return 'done';
  },
  epsw: (w) => {
    const mask = w.core.pswMask;
    const r1 = w.field('R1');
    const r2 = w.field('R2');
    w.setGr(r1, (w.gr(r1) & HIGH_32) | (mask >> 32n));
    if (r2 !== 0) w.setGr(r2, (w.gr(r2) & HIGH_32) | (mask & LOW_32));
    return 'done';
  },
  spka: (w) => {
    const key = (w.address(2) >> 4n) & 15n;
    const allowed = ((w.core.cr(3) >> (31n - key)) & 1n) === 1n;
    if (w.core.isProblemState && !allowed) return { program: PGM.PRIVILEGED_OPERATION };
    w.core.setMask((w.core.pswMask & ~PSW.KEY) | (key << PSW_KEY_SHIFT));
    return 'done';
  },
  ipk: (w) => {
    if (!extraction(w)) return { program: PGM.PRIVILEGED_OPERATION };
    w.setGr(2, (w.gr(2) & ~0xffn) | (BigInt(w.core.key) << 4n));
    return 'done';
  },
  sac,
  sacf: sac,
  iac: (w) => {
    if (!w.core.pswHas(PSW.DAT)) return { program: PGM.SPECIAL_OPERATION };
    if (!extraction(w)) return { program: PGM.PRIVILEGED_OPERATION };
    const space = Number((w.core.pswMask & PSW.AS) >> PSW_AS_SHIFT);
    const code = SAC_CODES.indexOf(space as (typeof SAC_CODES)[number]);
    w.setGr(w.field('R1'), (w.gr(w.field('R1')) & ~0xff00n) | (BigInt(code) << 8n));
    return code as 0 | 1 | 2 | 3;
  },
};
