// The Ultravisor by itself: pages out and in against what node:crypto's AES-GCM does on as many bytes, calls a second, and what memory of a
// secure VM costs. It is entered as a CPU enters it, with registers and memory; what is left out is the machine code of the caller.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { nodeProvider } from '../dist/crypto/node.js';
import { MSR, SPR, SRR1, ULTRACALL, VECTOR } from '../dist/powerpc/abi.js';
import { PowerMachine } from '../dist/powerpc/machine.js';
import { tableBytes } from '../dist/powerpc/ultravisor/page-table.js';
import { guest, median, printTable, repeat } from './measure.js';

const PAGE = 0x10000;
const MIB = 1 << 20;
/** Where the pager guest has its pages. */
const AREA = 0x420000;
const PAGES = 32;
const HYPERVISOR = MSR.SF | MSR.HV | MSR.ME;

/** Registers without a CPU: what the Ultravisor is handed. */
class Registers {
  cpu = 0;
  stubPage = 0n;
  clock = 0n;
  gprs = new Array(32).fill(0n);
  sprs = new Map([[SPR.LPIDR, 1n]]);
  gpr = (n) => this.gprs[n];
  setGpr = (n, value) => {
    this.gprs[n] = value;
  };
  spr = (n) => this.sprs.get(n) ?? 0n;
  setSpr = (n, value) => {
    this.sprs.set(n, value);
  };
  fpr = () => 0n;
  setFpr = () => {};
  fprs = () => new BigUint64Array(32);
  setFprs = () => {};
  fpscr = () => 0n;
  setFpscr = () => {};
  cr = () => 0;
  setCr = () => {};
  msr = () => HYPERVISOR | MSR.S;
  invalidateTranslations = () => {};
  sendDoorbell = () => {};
  clearDoorbell = () => {};
}

/** A secure VM at work, with its memory in `secureMemory` bytes of secure memory. */
function secureVm(cipher, secureMemory) {
  let text = '';
  const machine = new PowerMachine({
    protected: true,
    secureMemory,
    cipher,
    seed: '1',
    interpret: false,
    crypto: nodeProvider,
    trace: null,
    software: {
      role: 'guest',
      guests: [
        {
          name: 'pager',
          image: { file: 'pager.elf', bytes: new Uint8Array(readFileSync(guest('pager'))) },
          initrd: null,
          cmdline: '',
          memory: 24 * MIB,
          cpus: 1,
          entry: 'fdt',
          console: {
            output: (bytes) => {
              text += Buffer.from(bytes).toString('latin1');
            },
            input: () => new Uint8Array(0),
          },
        },
      ],
    },
  });
  while (!text.includes('\n')) {
    if (machine.run(machine.clock.now + 100_000).kind !== 'limit') throw new Error(`pager ended too soon: ${text}`);
  }
  return machine.ultravisor;
}

/** An ultracall of the hypervisor, on a CPU that the SVM is not on. */
function ultracall(ultravisor, port, number, ...args) {
  port.cpu = 1;
  port.setGpr(3, BigInt(number));
  for (const [i, arg] of args.entries()) port.setGpr(4 + i, BigInt(arg));
  port.setSpr(SPR.SRR0, 0x1000n);
  port.setSpr(SPR.SRR1, HYPERVISOR | SRR1.LEV2);
  ultravisor.enter(port, VECTOR.SYSTEM_CALL);
  return port.gpr(3);
}

function must(ultravisor, port, number, ...args) {
  const code = ultracall(ultravisor, port, number, ...args);
  if (code !== 0n) throw new Error(`ultracall 0x${number.toString(16)} gave ${BigInt.asIntN(64, code)}`);
}

function seconds(work) {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/** node:crypto on its own: encrypts and opens as many buffers. */
function gcmSeconds(buffers) {
  const key = randomBytes(16);
  return seconds(() => {
    for (const [i, buffer] of buffers.entries()) {
      const iv = Buffer.alloc(12, i);
      const cipher = createCipheriv('aes-128-gcm', key, iv);
      const sealed = cipher.update(buffer);
      cipher.final();
      const decipher = createDecipheriv('aes-128-gcm', key, iv).setAuthTag(cipher.getAuthTag());
      decipher.update(sealed);
      decipher.final();
    }
  });
}

async function benchPaging(short) {
  const buffers = Array.from({ length: PAGES }, () => randomBytes(PAGE));
  const subjects = ['iapm', 'gcm'].map((cipher) => ({
    cipher,
    ultravisor: secureVm(cipher, 32 * MIB),
    port: new Registers(),
  }));
  const moves = ({ ultravisor, port }) =>
    seconds(() => {
      for (let n = 0; n < PAGES; n++) {
        const [ra, gpa] = [PAGE * (1 + n), AREA + n * PAGE];
        must(ultravisor, port, ULTRACALL.UV_PAGE_OUT, 1, ra, gpa, 0, 16);
        must(ultravisor, port, ULTRACALL.UV_PAGE_IN, 1, ra, gpa, 0, 16);
      }
    });
  const round = () => ({ gcm: gcmSeconds(buffers), iapm: moves(subjects[0]), ours: moves(subjects[1]) });
  await repeat(40, round);
  const results = await repeat(short ? 40 : 200, round);
  const base = median(results.map((r) => r.gcm));
  const row = (name, times) => {
    const time = median(times);
    return [name, `${((2 * PAGES * PAGE) / time / 1e6).toFixed(0)}`, `${(base / time).toFixed(2)}x`];
  };
  printTable('UV_PAGE_OUT and UV_PAGE_IN of 64 KiB pages (at least 0.50x is asked for)', [
    ['', 'MB/s', 'of node:crypto'],
    row(
      'node:crypto AES-128-GCM',
      results.map((r) => r.gcm),
    ),
    row(
      'Ultravisor, IAPM',
      results.map((r) => r.iapm),
    ),
    row(
      'Ultravisor, GCM',
      results.map((r) => r.ours),
    ),
  ]);
  return subjects[0];
}

function benchCalls({ ultravisor, port }, short) {
  const calls = short ? 20_000 : 200_000;
  const rows = [
    ['UV_READ_SCOM', ULTRACALL.UV_READ_SCOM, [0, 0x50000]],
    ['UV_PAGE_INVAL, refused', ULTRACALL.UV_PAGE_INVAL, [1, AREA, 16]],
    ['unknown number', 0xf100, []],
  ].map(([name, number, args]) => {
    const time = seconds(() => {
      for (let n = 0; n < calls; n++) ultracall(ultravisor, port, number, ...args);
    });
    return [name, `${(calls / time / 1000).toFixed(0)}`];
  });
  printTable('ultracalls, in the Ultravisor alone', [['', 'thousands/s'], ...rows]);
}

/** A slot of so many bytes: registered, and every page touched once. */
function memoryRow(size) {
  const ultravisor = secureVm('iapm', size + 48 * MIB);
  const port = new Registers();
  const pages = size / PAGE;
  const base = 0x100000000;
  const registered = seconds(() => must(ultravisor, port, ULTRACALL.UV_REGISTER_MEM_SLOT, 1, base, size, 0, 9));
  port.cpu = 0;
  const svm = MSR.SF | MSR.ME | MSR.S;
  const touched = seconds(() => {
    for (let n = 0; n < pages; n++) {
      port.setSpr(SPR.HSRR0, 0x400000n);
      port.setSpr(SPR.HSRR1, svm);
      port.setSpr(SPR.ASDR, BigInt(base + n * PAGE));
      ultravisor.enter(port, VECTOR.HV_DATA_STORAGE);
    }
  });
  const [record] = [...ultravisor.save().state.svms.values()];
  const slot = record.slots.find(({ id }) => id === 9);
  if (ultravisor.report().svms[0].pages.SECURE < pages) throw new Error('not every page was touched');
  const tables = (record.tree.frames.length + 1) * PAGE;
  return [
    `${size / MIB} MiB`,
    `${(registered * 1e3).toFixed(2)}`,
    `${((touched * 1e6) / pages).toFixed(2)}`,
    `${(tableBytes(slot.pages) / pages).toFixed(1)}`,
    `${(tables / pages).toFixed(1)}`,
  ];
}

/** @param {{ short: boolean }} options */
export async function benchUltravisor({ short }) {
  const subject = await benchPaging(short);
  benchCalls(subject, short);
  const sizes = short ? [16, 64] : [16, 64, 256, 1024];
  printTable('memory of a secure VM', [
    ['', 'register ms', 'touch us/page', 'record bytes/page', 'table bytes/page'],
    ...sizes.map((size) => memoryRow(size * MIB)),
  ]);
}
