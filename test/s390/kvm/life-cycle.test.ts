import { expect, test } from 'vitest';
import { ICPT, IIC, PSW, SD, UV_CPU_STATE, UVCB } from '../../../src/s390/abi.ts';
import type { Vcpu } from '../../../src/s390/kvm/vm.ts';
import { ScriptedHost } from './scripted-host.ts';

const HEADER = 0x5000;

/** An IPL information block of type 5 with two components, written after section 6.4. */
function ipib(): Uint8Array {
  const block = new Uint8Array(0x88 + 48);
  const view = new DataView(block.buffer);
  view.setUint32(0x00, block.length);
  view.setUint8(0x0c, 5);
  view.setUint32(0x74, 2);
  view.setBigUint64(0x78, BigInt(HEADER));
  view.setBigUint64(0x80, 0x280n);
  [0x28n << 48n, 0x46n << 48n].forEach((tweak, n) => {
    view.setBigUint64(0x88 + 24 * n, tweak);
    view.setBigUint64(0x90 + 24 * n, BigInt(0x10000 + 0x2000 * n));
    view.setBigUint64(0x98 + 24 * n, n === 0 ? 0x1800n : 0x1000n);
  });
  return block;
}

const first = (host: ScriptedHost): Vcpu => host.vm.vcpus[0] as Vcpu;

/** The guest's first CPU leaves SIE in the middle of DIAG r1,r3,code. */
function diagnose(host: ScriptedHost, code: number, subcode: number, notified = false): void {
  const { sie, secure, gr } = first(host);
  sie.setU8(
    SD.ICPTCODE,
    secure === null ? ICPT.INSTRUCTION : notified ? ICPT.SECURE_NOTIFICATION : ICPT.SECURE_INSTRUCTION,
  );
  // Pre-set text: DIAG 0,2,0(%r5) (4.6).
  sie.setU16(SD.IPA, 0x8302);
  sie.setU32(SD.IPB, 0x5000_0000);
  const set = (n: number, value: number): void => {
    if (secure === null) gr[n] = BigInt(value);
    else sie.setU64(SD.SECURE_GR + 8 * n, BigInt(value));
  };
  // In a normal guest SIE saves registers 0 to 13 from the CPU's.
  set(5, code);
  set(2, subcode);
  for (let n = 0; n < 14; n++) if (secure === null) host.gr[n] = gr[n] as bigint;
  host.intercept();
}

function protectedHost(): ScriptedHost {
  const host = new ScriptedHost();
  host.block = ipib();
  host.take();
  diagnose(host, 0x308, 10);
  return host;
}

test('DIAG 308 subcode 10: the calls of 5.2 in their order, and CPU 0 is loaded', () => {
  const host = protectedHost();
  const issued = host.take();
  expect(issued.map(({ name }) => name)).toEqual([
    'CREATE_CONFIG',
    'CREATE_CPU',
    'CREATE_CPU',
    'SET_PARAMETERS',
    'UNPACK',
    'UNPACK',
    'UNPACK',
    'VERIFY',
    'CPU_SET_STATE',
  ]);
  expect(issued.at(-1)?.block[UVCB.CPU_SET_STATE.STATE]).toBe(UV_CPU_STATE.OPERATING_LOAD);
  expect(new DataView((issued[3]?.block as Uint8Array).buffer).getUint32(UVCB.SET_PARAMETERS.LENGTH)).toBe(0x280);
  expect(host.resets).toBe(1);
  expect(host.inSie).toBe(BigInt(first(host).sie.address));
});

test.each([
  ['SET_PARAMETERS', { rc: 0x0108, rrc: 5 }, 0x0002_0005_0108_0a02n],
  ['VERIFY', { rc: 0x0102, rrc: 0x1a }, 0x0004_001a_0102_0a02n],
] as const)('%s fails: the VM stays normal and has the packed code in the odd register (5.2, case 38)', (name, answer, code) => {
  const host = new ScriptedHost();
  host.block = ipib();
  host.take();
  host.script.set(name, [answer]);
  diagnose(host, 0x308, 10);
  expect(host.names()).toContain('DESTROY_CONFIG');
  expect(host.vm.secure).toBeNull();
  expect(first(host).gr[1]).toBe(code);
  expect(first(host).state).toBe('operating');
  expect(host.vm.end).toBeNull();
});

test.each([
  [0, ['CPU_RESET_CLEAR', 'CPU_RESET_CLEAR']],
  [1, ['CPU_RESET_INITIAL', 'CPU_RESET']],
] as const)('DIAG 308 subcode %i of a protected guest: the chain of 5.9', (subcode, resets) => {
  const host = protectedHost();
  host.take();
  diagnose(host, 0x308, subcode, true);
  const issued = host.take();
  expect(issued.map(({ name }) => name)).toEqual([
    'CPU_SET_STATE',
    'CPU_SET_STATE',
    'UNSHARE_ALL',
    'PREPARE_RESET',
    ...resets,
    'CPU_SET_STATE',
  ]);
  const states = issued
    .filter(({ name }) => name === 'CPU_SET_STATE')
    .map(({ block }) => block[UVCB.CPU_SET_STATE.STATE]);
  expect(states).toEqual([UV_CPU_STATE.STOPPED, UV_CPU_STATE.STOPPED, UV_CPU_STATE.OPERATING_LOAD]);
  expect(host.vm.secure).not.toBeNull();
});

test('DIAG 308 subcode 3 leaves protection and loads the VM anew (5.9)', () => {
  const host = protectedHost();
  host.take();
  const loads = host.loads;
  diagnose(host, 0x308, 3, true);
  expect(host.names().slice(0, 3)).toEqual(['DESTROY_CPU', 'DESTROY_CPU', 'DESTROY_CONFIG']);
  expect(host.loads).toBe(loads + 1);
  expect(host.vm.secure).toBeNull();
  expect(first(host).sie.pswAddress).toBe(0x10000n);
});

test('interception 0x70 imports both pages of the prefix area (4.4)', () => {
  const host = protectedHost();
  host.take();
  first(host).sie.setPrefix(0x8000);
  first(host).sie.setU8(SD.ICPTCODE, ICPT.SECURE_PREFIX);
  host.intercept();
  const issued = host.take();
  expect(issued.map(({ name }) => name)).toEqual(['CONVERT_TO', 'CONVERT_TO']);
  const addresses = issued.map(({ block }) => new DataView(block.buffer).getBigUint64(UVCB.CTS.ADDRESS));
  expect(addresses).toEqual([0x8000n, 0x9000n]);
});

test('nothing is injected between an interception that is not complete and the next one (4.5, case 5)', () => {
  const host = protectedHost();
  const { sie } = first(host);
  const open = PSW.IO | PSW.EXTERNAL;
  sie.setU64(SD.CR + 8 * 6, 0xff000000n);
  host.queued.push({ kind: 'io', subchannelId: 1, subchannel: 2, parameter: 3, word: 0 });
  diagnose(host, 0x500, 0);
  sie.setPsw(open, 0n);
  expect(sie.u16(SD.IIC)).toBe(IIC.NONE);
  sie.setU8(SD.ICPTCODE, ICPT.INTERRUPT_ENABLE);
  host.intercept();
  expect(sie.u16(SD.IIC)).toBe(IIC.IO);
  expect([sie.u16(SD.SUBCHANNEL_ID), sie.u16(SD.SUBCHANNEL_NUMBER), sie.u32(SD.IO_PARAMETER)]).toEqual([1, 2, 3]);
});

test('a service signal waits for the notification of SERVC, and the next one again (4.9, case 26)', () => {
  const host = protectedHost();
  const { sie } = first(host);
  const signal = { kind: 'external', code: 0x2401, parameter: 0x4000 } as const;
  sie.setPsw(PSW.EXTERNAL, 0n);
  sie.setU64(SD.CR, 0x200n);
  host.queued.push(signal, signal);
  sie.setU8(SD.ICPTCODE, ICPT.INTERRUPT_ENABLE);
  host.intercept();
  expect(sie.u16(SD.IIC)).toBe(IIC.NONE);
  sie.setU8(SD.ICPTCODE, ICPT.SECURE_NOTIFICATION);
  sie.setU16(SD.IPA, 0xb220);
  host.intercept();
  expect([sie.u16(SD.IIC), sie.u16(SD.EXTERNAL_CODE)]).toEqual([IIC.EXTERNAL, 0x2401]);
  // The Ultravisor takes it.
  sie.setU16(SD.IIC, IIC.NONE);
  sie.setU8(SD.ICPTCODE, ICPT.INTERRUPT_ENABLE);
  host.intercept();
  expect(sie.u16(SD.IIC)).toBe(IIC.NONE);
});

test('a validity interception ends the VM, and it is taken down (5.10)', () => {
  const host = protectedHost();
  host.take();
  first(host).sie.setU8(SD.ICPTCODE, ICPT.VALIDITY);
  first(host).sie.setU32(SD.IPB, 0x2001_0000);
  host.intercept();
  expect(host.vm.end).toEqual({ kind: 'terminated', detail: 'CPU 0: validity interception 0x2001' });
  expect(host.names()).toContain('DESTROY_CONFIG');
  expect(host.vm.destroyed).toBe(true);
});
