import { FACILITY, LOWCORE, PGM } from '../abi.ts';
import { SPACE } from '../isa/helpers.ts';
import type { Control, Controls, ControlWork } from './control-work.ts';

const LOW_32 = 0xffffffffn;
const HIGH_32 = 0xffffffff00000000n;

/** Control registers R1 to R3, wrapping around. */
function registers(w: ControlWork): number[] {
  const first = w.field('R1');
  return Array.from({ length: ((w.field('R3') - first) & 15) + 1 }, (_, n) => (first + n) & 15);
}

function loadControl(w: ControlWork, bytes: 4 | 8): ReturnType<Control> {
  const at = w.address(2);
  if ((at & BigInt(bytes - 1)) !== 0n) return { program: PGM.SPECIFICATION };
  const numbers = registers(w);
  const data = w.read(at, numbers.length * bytes);
  if (data === null) return 'fault';
  const view = new DataView(data.buffer);
  for (const [i, n] of numbers.entries()) {
    if (bytes === 8) w.core.setCr(n, view.getBigUint64(8 * i));
    else w.core.setCr(n, (w.core.cr(n) & HIGH_32) | BigInt(view.getUint32(4 * i)));
  }
  return 'done';
}

function storeControl(w: ControlWork, bytes: 4 | 8): ReturnType<Control> {
  const at = w.address(2);
  if ((at & BigInt(bytes - 1)) !== 0n) return { program: PGM.SPECIFICATION };
  const numbers = registers(w);
  const data = new Uint8Array(numbers.length * bytes);
  const view = new DataView(data.buffer);
  for (const [i, n] of numbers.entries()) {
    if (bytes === 8) view.setBigUint64(8 * i, w.core.cr(n));
    else view.setUint32(4 * i, Number(w.core.cr(n) & LOW_32));
  }
  return w.write(at, data) ? 'done' : 'fault';
}

/** Stores a value at a second operand that has to be aligned to its size. */
function storeAligned(w: ControlWork, bytes: 2 | 4 | 8, value: bigint): ReturnType<Control> {
  const at = w.address(2);
  if ((at & BigInt(bytes - 1)) !== 0n) return { program: PGM.SPECIFICATION };
  return w.store(at, bytes, value) ? 'done' : 'fault';
}

function loadAligned(w: ControlWork, bytes: 4 | 8, use: (value: bigint) => ReturnType<Control>): ReturnType<Control> {
  const at = w.address(2);
  if ((at & BigInt(bytes - 1)) !== 0n) return { program: PGM.SPECIFICATION };
  const value = w.load(at, bytes);
  return value === null ? 'fault' : use(value);
}

const spx: Control = (w) =>
  loadAligned(w, 4, (value) => {
    const prefix = Number(value) & 0x7fffe000;
    for (const page of [prefix, prefix + 0x1000]) {
      if (w.core.mmu.locate(page, 4096, 'store') < 0) return { program: PGM.ADDRESSING };
    }
    w.core.prefix = prefix;
    w.core.flushTranslations();
    return 'done';
  });

/** Doublewords of the facility list that are not zero at the end. */
const FACILITY_DOUBLEWORDS = 3;

const stfle: Control = (w) => {
  const at = w.address(2);
  if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
  const asked = Number(w.gr(0) & 0xffn) + 1;
  const list = w.core.facilities;
  const stored = Math.min(asked, FACILITY_DOUBLEWORDS);
  if (!w.write(at, list.slice(0, 8 * stored))) return 'fault';
  w.setGr(0, (w.gr(0) & ~0xffn) | BigInt(FACILITY_DOUBLEWORDS - 1));
  return asked >= FACILITY_DOUBLEWORDS ? 0 : 3;
};

/** What works on control registers, the prefix, and what tells one CPU from another. */
export const CONTROL_REGISTERS: Controls = {
  lctl: (w) => loadControl(w, 4),
  lctlg: (w) => loadControl(w, 8),
  stctl: (w) => storeControl(w, 4),
  stctg: (w) => storeControl(w, 8),
  spx,
  stpx: (w) => storeAligned(w, 4, BigInt(w.core.prefix)),
  stap: (w) => storeAligned(w, 2, BigInt(w.core.cpuAddress)),
  stidp: (w) => storeAligned(w, 8, w.core.identification),
  stfl: (w) => {
    // The first word of the list, to the real address that is fixed.
    const word = new DataView(w.core.facilities.buffer).getUint32(0);
    return w.store(BigInt(LOWCORE.STFL), 4, BigInt(word), SPACE.real) ? 'done' : 'fault';
  },
  stfle,
  lpp: (w) => loadAligned(w, 8, () => 'done'),
  epar: (w) => {
    w.setGr(w.field('R1'), (w.gr(w.field('R1')) & HIGH_32) | (w.core.cr(4) & 0xffffn));
    return 'done';
  },
  esar: (w) => {
    w.setGr(w.field('R1'), (w.gr(w.field('R1')) & HIGH_32) | (w.core.cr(3) & 0xffffn));
    return 'done';
  },
  ecag: (w) => {
    // One level of cache topology: none is told of.
    w.setGr(w.field('R1'), (w.address(2) & 0xf0n) === 0n ? 0n : 0xffff_ffff_ffff_ffffn);
    return 'done';
  },
  mc: (w) => {
    const id = w.field('I2');
    if (id > 15) return { program: PGM.SPECIFICATION };
    const enabled = ((w.core.cr(8) >> BigInt(15 - id)) & 1n) === 1n;
    return enabled ? { monitor: { class: id, code: w.address(1) } } : 'done';
  },
};

/** A facility list, as STFLE stores it. */
export function facilityList(names: Iterable<keyof typeof FACILITY>): Uint8Array {
  const list = new Uint8Array(8 * FACILITY_DOUBLEWORDS);
  for (const name of names) {
    const bit = FACILITY[name];
    list[bit >> 3] = (list[bit >> 3] as number) | (0x80 >> (bit & 7));
  }
  return list;
}
