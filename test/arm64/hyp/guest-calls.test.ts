import { describe, expect, it } from 'vitest';
import {
  ERRNO,
  GUEST_CALL,
  HCR,
  HOST_VCPU,
  IFLAG,
  LIST_REGISTERS,
  MEMCACHE,
  PSCI,
  VGIC,
} from '../../../src/arm64/abi.ts';
import { PAGE_STATE } from '../../../src/arm64/hyp/hyp-page.ts';
import { CallingGuest, IPA, move } from './guest-program.ts';
import { PAGE, PLAY } from './hvc-machine.ts';

const {
  KVM_FEATURES,
  MEM_RELINQUISH,
  MEM_SHARE,
  MMIO_GUARD_ENROLL,
  MMIO_GUARD_INFO,
  MMIO_GUARD_MAP,
  MMIO_GUARD_UNMAP,
  TRNG_RND64,
} = GUEST_CALL;
const UART = 0x900_0000n;
const OFF = [BigInt(PSCI.SYSTEM_OFF)] as const;
const [TRAP, INVALID] = [2, -3];
const CALL_EXIT = 0x5a00_0000n;
const page = (n: number): bigint => IPA + BigInt(n * PAGE);

describe('MMIO guard (arm64-pkvm.md 5.4)', () => {
  it('takes pages of an enrolled guest, and no others', () => {
    const guest = new CallingGuest([
      [KVM_FEATURES],
      [MMIO_GUARD_INFO],
      [MMIO_GUARD_INFO, 1n],
      [MMIO_GUARD_MAP, UART],
      [MMIO_GUARD_ENROLL],
      [MMIO_GUARD_MAP, UART + 8n],
      [MMIO_GUARD_MAP, UART, 1n],
      [MMIO_GUARD_MAP, UART],
      [MMIO_GUARD_MAP, UART],
      [MMIO_GUARD_MAP, IPA],
      [MEM_SHARE, UART],
      [MMIO_GUARD_UNMAP, UART],
      [MMIO_GUARD_UNMAP, UART],
      [MMIO_GUARD_UNMAP, IPA],
      OFF,
    ]);
    guest.m.topUp(guest.vm, 6);
    expect([guest.run(), guest.state('esr'), guest.x(0)]).toEqual([TRAP, CALL_EXIT, OFF[0]]);
    expect(guest.results(14)).toEqual([
      // Functions 0 and 2 to 9.
      0x3fd,
      PAGE,
      INVALID,
      INVALID,
      0,
      INVALID,
      INVALID,
      0,
      0,
      INVALID,
      INVALID,
      0,
      INVALID,
      INVALID,
    ]);
  });

  it('shows a store only where a device is, and ignores answers elsewhere', () => {
    // str w19, [x1] of the device, then of a page that is not there.
    const store = 0xb9000033;
    const guest = new CallingGuest(
      [[MMIO_GUARD_ENROLL], [MMIO_GUARD_MAP, UART]],
      [...move(19, 0x1234n), ...move(1, UART), store, ...move(1, page(2)), store],
    );
    expect([guest.run(), guest.state('esr'), guest.x(0)]).toEqual([TRAP, 0x9380_0047n, 0x1234n]);
    guest.setState('flags', IFLAG.incrementPc);
    expect(guest.run()).toBe(TRAP);
    const memory = { esr: 0x9200_0047n, x0: 0n, hpfar: (1n << 63n) | (page(2) >> 8n) };
    const shown = () => ({ esr: guest.state('esr'), x0: guest.x(0), hpfar: guest.state('hpfar') });
    expect(shown()).toEqual(memory);
    guest.setState('flags', IFLAG.incrementPc);
    expect(guest.run()).toBe(TRAP);
    expect(shown()).toEqual(memory);
  });

  it('wants pages for its table from the host, and is called again', () => {
    const guest = new CallingGuest([[MMIO_GUARD_ENROLL], [MMIO_GUARD_MAP, UART], OFF]);
    // Nothing is left of what the host laid ready, on either side.
    const cache = guest.m.pkvm.vms.loadedOn(0)?.memcache;
    while (cache?.pop() !== null);
    guest.m.machine.quad(guest.vm.vcpu + HOST_VCPU.memcache + MEMCACHE.count, 0n);
    expect([guest.run(), guest.state('esr')]).toEqual([TRAP, CALL_EXIT]);
    expect([0, 1, 2, 3].map((n) => guest.x(n))).toEqual([MMIO_GUARD_MAP, UART, 0n, 0n]);
    guest.m.topUp(guest.vm, 3);
    guest.setX(0, 0x77n);
    expect(guest.run()).toBe(TRAP);
    expect([guest.x(0), guest.results(2)]).toEqual([OFF[0], [0, 0]]);
  });

  it('keeps memory off a page that is a device’s', () => {
    const guest = new CallingGuest([[MMIO_GUARD_ENROLL], [MMIO_GUARD_MAP, page(2)], OFF]);
    expect(guest.run()).toBe(TRAP);
    expect(guest.results(2)).toEqual([0, 0]);
    expect(guest.give(2)).toBe(ERRNO.EPERM);
    expect(guest.give(3)).toBe(0);
  });
});

describe('MEM_RELINQUISH (5.2)', () => {
  it('gives a page back cleared, once, whatever the host says to it', () => {
    const guest = new CallingGuest([
      [MEM_RELINQUISH, page(2)],
      [MEM_RELINQUISH, page(2)],
      [MEM_SHARE, page(3)],
      [MEM_RELINQUISH, page(3)],
      OFF,
    ]);
    const { m } = guest;
    m.machine.quad(PLAY + 2 * PAGE, 0x5ec7e7n);
    expect([guest.give(2), guest.give(3)]).toEqual([0, 0]);
    expect(guest.run()).toBe(TRAP);
    expect([guest.x(0), guest.x(1)]).toEqual([MEM_RELINQUISH, page(2)]);
    expect(m.machine.quadAt(PLAY + 2 * PAGE)).toBe(0n);
    expect(m.pkvm.pages.hostState(PLAY + 2 * PAGE)).toBe(PAGE_STATE.owned);
    guest.setX(0, 0x77n);
    expect([guest.run(), guest.x(0)]).toEqual([TRAP, OFF[0]]);
    expect(guest.results(4)).toEqual([0, INVALID, 0, INVALID]);
    expect(guest.give(2)).toBe(0);
  });
});

it('random numbers come from firmware, past the host (5.7)', () => {
  const guest = new CallingGuest([[TRNG_RND64, 64n], OFF], [], {
    firmware: (cpu) => {
      expect([cpu.x(0), cpu.x(1)]).toEqual([TRNG_RND64, 64n]);
      cpu.setX(0, 0x123n);
    },
  });
  expect([guest.run(), guest.x(0)]).toEqual([TRAP, OFF[0]]);
  expect(guest.results(1)).toEqual([0x123]);
});

describe('a virtual SError from the host (6.6, 10.3 #51)', () => {
  // msr daifclr, #4; then a vector that is not there.
  it('waits for the guest’s mask, is taken once, and its end is seen', () => {
    const guest = new CallingGuest([OFF], [0xd50344ff, 0x14000000]);
    guest.setState('hcr', HCR.VSE | HCR.TGE | HCR.TVM);
    expect([guest.run(), guest.state('hcr') & HCR.VSE]).toEqual([TRAP, HCR.VSE]);
    expect(guest.run()).toBe(TRAP);
    // At VBAR_EL1 + 0x380 there is nothing: an abort of the fetch.
    expect([guest.state('esr') >> 26n, guest.state('hcr') & HCR.VSE]).toEqual([0x20n, 0n]);
    const hcr = guest.m.pkvm.vms.loadedOn(0)?.state.get('hcr') ?? 0n;
    expect(hcr & (HCR.TGE | HCR.TVM | HCR.VSE)).toBe(0n);
  });
});

describe('list registers from the host (6.5)', () => {
  it('are as many as there are, without traps; masks and priorities are the guest’s', () => {
    const guest = new CallingGuest([OFF]);
    const at = guest.vm.vcpu + HOST_VCPU.vgic;
    const { machine } = guest.m;
    for (let n = 0; n < 16; n++) machine.quad(at + VGIC.lr + 8 * n, 0x5000_0000_0000_0020n + BigInt(n));
    machine.quad(at + VGIC.usedLrs, 1n << 40n);
    machine.quad(at + VGIC.hcr, (1n << 64n) - 1n);
    machine.quad(at + VGIC.vmcr, 0xff00_0003n);
    expect(guest.run()).toBe(TRAP);
    const vgic = guest.m.pkvm.vms.loadedOn(0)?.vgic;
    expect(vgic?.get('usedLrs')).toBe(BigInt(LIST_REGISTERS));
    expect([vgic?.get('hcr'), vgic?.get('vmcr')]).toEqual([0xffn, 0n]);
    expect(machine.quadAt(at + VGIC.vmcr)).toBe(0xff00_0003n);
    expect(machine.register('ICH_HCR_EL2')).toBe(0n);
  });
});
