import { describe, expect, it } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import {
  DSISR,
  type GuestPhysical,
  H_CODE,
  LPCR,
  MSR,
  PATE_DW1,
  PTCR,
  RADIX_ROOT,
  registerToCode,
  SPR,
  SRR1,
  U_CODE,
  unpackRadixRoot,
  VECTOR,
} from '../../../src/powerpc/abi.ts';
import { HostPages } from '../../../src/powerpc/kvm/host-pages.ts';
import { mappedPage } from '../../../src/powerpc/kvm/radix.ts';
import { FakePort } from './fake-port.ts';
import { BOOT_ENTRY, FREE_BASE, Machine, PAGE } from './machine.ts';

describe('boot', () => {
  it('with an Ultravisor writes the partition by UV_WRITE_PATE, then enters the guest', () => {
    const m = new Machine();
    expect(m.boot()).toEqual({ to: 'guest', pc: 0x400000n, msr: MSR.SF | MSR.ME });
    expect(m.calls).toHaveLength(1);
    const [{ name, args }] = m.calls;
    expect(name).toBe('UV_WRITE_PATE');
    expect(args[0]).toBe(1n);
    expect(args[1] & RADIX_ROOT.HR).toBe(RADIX_ROOT.HR);
    // 52 bits, 64 KiB root directory, in normal memory (power-pef.md 2.2).
    expect(unpackRadixRoot(args[1])).toEqual({ base: BigInt(m.vm.tree.root), rootBits: 13, rts: 21 });
    expect(m.vm.tree.root % PAGE).toBe(0);
    expect(args[2]).toBe(PATE_DW1.GR);
    expect(m.port.gpr(3)).toBe(0x1234n);
    expect(m.port.spr(SPR.LPIDR)).toBe(1n);
    expect(m.port.spr(SPR.HDEC)).toBe(1000n);
    const lpcr = m.port.spr(SPR.LPCR);
    for (const bit of [LPCR.HR, LPCR.UPRT, LPCR.GTSE, LPCR.HDICE, LPCR.LPES]) expect(lpcr & bit).toBe(bit);
    expect(lpcr & LPCR.ILE).toBe(0n);
  });

  it('without one writes its own partition table and PTCR', () => {
    const m = new Machine({ ultravisor: false });
    expect(m.boot().to).toBe('guest');
    expect(m.calls).toEqual([]);
    const ptcr = m.port.spr(SPR.PTCR);
    expect(ptcr & PTCR.PATB).toBe(BigInt(FREE_BASE));
    expect(ptcr & PTCR.PATS).toBe(4n);
    expect(m.view.readU64((FREE_BASE + 16) as RealAddress) & RADIX_ROOT.RPDB).toBe(BigInt(m.vm.tree.root));
    expect(m.view.readU64((FREE_BASE + 24) as RealAddress)).toBe(PATE_DW1.GR);
    expect(m.port.invalidated).toContain(1);
  });

  it('runs nothing if the partition is refused', () => {
    const m = new Machine();
    m.answer = () => U_CODE.U_P2;
    expect(m.boot().to).toBe('stop');
    expect(m.vm.end).toMatchObject({ kind: 'terminated' });
  });

  it('a second VM gets its own LPID and partition, and its turn', () => {
    const m = new Machine();
    const other = m.kvm.createVm(m.spec({}));
    m.boot();
    expect(other.lpid).toBe(2);
    expect(m.calls.map(({ args }) => args[0])).toEqual([1n, 2n]);
    m.port.setGpr(20, 0x20n);
    m.port.setSpr(SPR.SPRG0, 0x77n);
    m.port.setSpr(SPR.LR, 0x11n);
    m.port.clock = 1000n;
    expect(m.exit(VECTOR.HV_DECREMENTER, { pc: 0x1234n })).toMatchObject({ to: 'guest', pc: 0x400000n });
    expect(m.port.spr(SPR.LPIDR)).toBe(2n);
    expect(m.port.gpr(20)).toBe(0n);
    expect(m.port.spr(SPR.SPRG0)).toBe(0n);
    expect(m.exit(VECTOR.HV_DECREMENTER, { pc: 0x5678n })).toMatchObject({ to: 'guest', pc: 0x1234n });
    expect(m.port.gpr(20)).toBe(0x20n);
    expect(m.port.spr(SPR.SPRG0)).toBe(0x77n);
    expect(m.port.spr(SPR.LR)).toBe(0x11n);
  });

  it('is refused for slots that overlap, are unaligned or have bad ids', () => {
    const { kvm, spec } = new Machine();
    const base = spec({});
    const [slot] = base.slots;
    for (const slots of [
      [slot, { ...slot, id: 1 }],
      [slot, { ...slot, base: (8 * PAGE) as GuestPhysical }],
      [{ ...slot, id: 512 }],
      [{ ...slot, id: -1 }],
      [{ ...slot, size: 4096 }],
      [{ ...slot, size: 0 }],
      [{ ...slot, base: 4096 as GuestPhysical }],
    ]) {
      expect(() => kvm.createVm({ ...base, slots })).toThrow(RangeError);
    }
    expect(() => kvm.createVm({ ...base, vcpus: 0 })).toThrow(RangeError);
  });
});

describe('an exit of a normal guest', () => {
  function booted(): Machine {
    const m = new Machine();
    m.boot();
    m.calls.length = 0;
    return m;
  }

  function storage(m: Machine, vector: bigint, gpa: number, cause: bigint, ea = BigInt(gpa), msr: bigint = MSR.SF) {
    m.port.setSpr(SPR.ASDR, BigInt(gpa - (gpa % 4096)));
    m.port.setSpr(SPR.HDAR, ea);
    m.port.setSpr(SPR.HDSISR, cause);
    const fetch = vector === VECTOR.HV_INSTRUCTION_STORAGE;
    return m.exit(vector, { pc: fetch ? ea : 0x1000n, msr, status: fetch ? cause : 0n });
  }

  it.each([
    VECTOR.HV_DATA_STORAGE,
    VECTOR.HV_INSTRUCTION_STORAGE,
  ])('0x%s maps a zero page on first touch and tries again', (vector) => {
    const m = booted();
    const left = storage(m, vector, 3 * PAGE + 0x128, DSISR.NO_TRANSLATION);
    expect(left).toMatchObject({
      to: 'guest',
      pc: vector === VECTOR.HV_DATA_STORAGE ? 0x1000n : BigInt(3 * PAGE + 0x128),
    });
    const page = mappedPage(m.vm.tree, m.view, (3 * PAGE) as GuestPhysical);
    expect(page).toBe(m.page(3));
    expect(m.view.read(page as RealAddress, PAGE).every((b) => b === 0)).toBe(true);
  });

  it('takes the page that the VMM already filled', () => {
    const m = booted();
    m.kvm.memory.write(m.vm, 3 * PAGE, Uint8Array.of(42));
    storage(m, VECTOR.HV_DATA_STORAGE, 3 * PAGE, DSISR.NO_TRANSLATION);
    expect(m.view.read(mappedPage(m.vm.tree, m.view, (3 * PAGE) as GuestPhysical) as RealAddress, 1)).toEqual(
      Uint8Array.of(42),
    );
  });

  it('a walk that touches an unmapped table gets its page, not the one of the effective address', () => {
    const m = booted();
    storage(m, VECTOR.HV_DATA_STORAGE, 4 * PAGE, DSISR.NO_TRANSLATION | DSISR.PRTABLE_FAULT, 0xc000000000000123n);
    expect(m.page(4)).not.toBe(-1);
  });

  it('where nothing is, a machine check', () => {
    const m = booted();
    const left = storage(m, VECTOR.HV_DATA_STORAGE, 9 * PAGE, DSISR.NO_TRANSLATION, 0x90010n, MSR.SF | MSR.ME);
    expect(left).toEqual({ to: 'guest', pc: VECTOR.MACHINE_CHECK, msr: MSR.SF | MSR.ME });
    expect(m.port.spr(SPR.DAR)).toBe(0x90010n);
    expect(m.port.spr(SPR.DSISR)).toBe(0x40n);
    expect(m.port.spr(SPR.SRR0)).toBe(0x1000n);
    expect(m.port.spr(SPR.SRR1)).toBe(MSR.SF | MSR.ME | 0x200000n);
  });

  it('where nothing is, a machine check even for a guest that started with MSR[ME]=0: no guest goes without', () => {
    const m = booted();
    const left = storage(m, VECTOR.HV_INSTRUCTION_STORAGE, 9 * PAGE, DSISR.NO_TRANSLATION);
    expect(left).toEqual({ to: 'guest', pc: VECTOR.MACHINE_CHECK, msr: MSR.SF | MSR.ME });
  });

  it('at the vector of the program interrupt, for an illegal instruction: the end, as it would come back for ever', () => {
    const m = booted();
    expect(m.exit(VECTOR.HV_EMULATION_ASSISTANCE, { pc: VECTOR.PROGRAM }).to).toBe('stop');
    expect(m.vm.end).toMatchObject({ kind: 'crashed' });
    expect(m.kvm.finished).toBe(true);
    // Its partition goes with it.
    expect(m.calls).toEqual([{ name: 'UV_WRITE_PATE', args: [1n, 0n, 0n, 0n, 0n] }]);
  });

  it('an unsupported tree of its own is a storage interrupt of its own', () => {
    const m = booted();
    const cause = DSISR.UNSUPPORTED_MMU;
    expect(storage(m, VECTOR.HV_DATA_STORAGE, PAGE, cause)).toMatchObject({ pc: VECTOR.DATA_STORAGE });
    expect(m.port.spr(SPR.DSISR)).toBe(cause);
    expect(storage(m, VECTOR.HV_INSTRUCTION_STORAGE, PAGE, cause)).toMatchObject({ pc: VECTOR.INSTRUCTION_STORAGE });
    expect(m.port.spr(SPR.SRR1)).toBe(MSR.SF | cause);
  });

  it('out of host memory ends the VM, not the machine', () => {
    const m = new Machine({ normalPages: 1 });
    m.boot();
    expect(storage(m, VECTOR.HV_DATA_STORAGE, 0, DSISR.NO_TRANSLATION).to).toBe('stop');
    expect(m.vm.end).toMatchObject({ kind: 'terminated', detail: expect.stringContaining('host memory') });
  });

  it.each([
    VECTOR.HV_EMULATION_ASSISTANCE,
    VECTOR.HV_FACILITY_UNAVAILABLE,
  ])('0x%s is an illegal instruction to the guest', (vector) => {
    const m = booted();
    expect(m.exit(vector)).toEqual({ to: 'guest', pc: VECTOR.PROGRAM, msr: MSR.SF | MSR.ME });
    expect(m.port.spr(SPR.SRR0)).toBe(0x1000n);
    expect(m.port.spr(SPR.SRR1)).toBe(MSR.SF | SRR1.PROGRAM_ILLEGAL);
  });

  it('interrupts follow H_SET_MODE: little-endian, and relocated with translation on', () => {
    const m = booted();
    expect(m.call('H_SET_MODE', 1, 4)).toBe(0);
    expect(m.call('H_SET_MODE', 3, 3)).toBe(0);
    const translated = MSR.SF | MSR.IR | MSR.DR;
    expect(m.exit(VECTOR.HV_EMULATION_ASSISTANCE, { msr: translated })).toEqual({
      to: 'guest',
      pc: 0xc000000000004700n,
      msr: translated | MSR.ME | MSR.LE,
    });
    expect(m.exit(VECTOR.HV_EMULATION_ASSISTANCE, { msr: MSR.SF | MSR.DR })).toMatchObject({ pc: 0x700n });
  });

  it.each([
    VECTOR.HV_DECREMENTER,
    VECTOR.EXTERNAL,
    VECTOR.HV_VIRTUALIZATION,
    VECTOR.HV_DOORBELL,
    VECTOR.HV_MAINTENANCE,
  ])('0x%s goes on where it was, registers untouched', (vector) => {
    const m = booted();
    m.port.setGpr(5, 0x55n);
    m.port.setSpr(SPR.SRR0, 0x123n);
    expect(m.exit(vector, { pc: 0x2222n, msr: MSR.SF | MSR.EE })).toEqual({
      to: 'guest',
      pc: 0x2222n,
      msr: MSR.SF | MSR.EE | MSR.ME,
    });
    expect(m.port.gpr(5)).toBe(0x55n);
    expect(m.port.spr(SPR.SRR0)).toBe(0x123n);
  });

  it('that KVM does not know ends the VM', () => {
    const m = booted();
    expect(m.exit(0x300n).to).toBe('stop');
    expect(m.vm.end).toMatchObject({ kind: 'terminated', detail: expect.stringContaining('0x300') });
  });

  it('is counted and traced by the name that KVM gives it', () => {
    const m = booted();
    m.exit(VECTOR.HV_DECREMENTER);
    m.call('H_PROD', 0);
    expect(m.kvm.statistics).toEqual({
      exits: { HV_DECREMENTER: 1, SYSCALL: 1 },
      hypercalls: { H_PROD: 1 },
      ultracalls: { UV_WRITE_PATE: 1 },
    });
    expect(m.trace.ofType('exit').map(({ reason }) => reason)).toEqual(['HV_DECREMENTER', 'SYSCALL']);
    expect(m.trace.ofType('call')).toMatchObject([{ kind: 'hypercall', name: 'H_PROD', from: 'guest' }]);
    expect(m.trace.ofType('call-return')).toMatchObject([{ kind: 'hypercall', number: 0xe8, result: 0n }]);
  });
});

describe('a system call exit', () => {
  it('of a problem-state program is a privileged program interrupt (power-pef.md 1.5)', () => {
    const m = new Machine();
    m.boot();
    m.port.setGpr(3, 0x58n);
    expect(m.exit(VECTOR.SYSTEM_CALL, { msr: MSR.SF | MSR.PR | MSR.EE, status: SRR1.LEV1 })).toEqual({
      to: 'guest',
      pc: VECTOR.PROGRAM,
      msr: MSR.SF | MSR.ME,
    });
    expect(m.port.spr(SPR.SRR1)).toBe(MSR.SF | MSR.PR | MSR.EE | SRR1.PROGRAM_PRIVILEGED);
    expect(m.userCalls).toEqual([]);
  });

  it('with level 2, where no Ultravisor takes it, is U_FUNCTION (10.2 #55)', () => {
    const m = new Machine({ ultravisor: false });
    m.boot();
    m.port.setGpr(3, 0xf110n);
    m.exit(VECTOR.SYSTEM_CALL, { status: SRR1.LEV2 });
    expect(registerToCode(m.port.gpr(3))).toBe(U_CODE.U_FUNCTION);
    // A part without the level in SRR1: the number alone tells.
    m.port.setGpr(3, 0xf110n);
    m.exit(VECTOR.SYSTEM_CALL, { status: 0n });
    expect(registerToCode(m.port.gpr(3))).toBe(H_CODE.H_FUNCTION);
  });

  it('that nobody serves is H_FUNCTION; what the VMM serves goes back with its outputs', () => {
    const m = new Machine();
    m.boot();
    expect(m.call(0x9998, 1, 2)).toBe(H_CODE.H_FUNCTION);
    expect(m.userCalls).toMatchObject([{ number: 0x9998, args: [1n, 2n, 0n, 0n, 0n, 0n, 0n, 0n, 0n], secure: false }]);
    m.serve = () => ({ status: -4, out: [7n, 8n] });
    expect(m.call(0x58)).toBe(-4);
    expect([m.port.gpr(4), m.port.gpr(5), m.port.gpr(6)]).toEqual([7n, 8n, 0n]);
  });

  it('goes back to the instruction after it, MSR without status bits', () => {
    const m = new Machine();
    m.boot();
    expect(m.hypercall('H_PROD', [0])).toEqual({ to: 'guest', pc: 0x1000n, msr: MSR.SF | MSR.ME });
  });

  it('whose memory is secure has it paged out, and is served then', () => {
    const m = new Machine();
    m.boot();
    m.secure();
    let served = 0;
    m.serve = ({ vm }) => {
      const [byte] = m.kvm.memory.read(vm, 2 * PAGE, 1);
      served += 1;
      return { status: 0, out: [BigInt(byte)] };
    };
    m.answer = ({ args }) => {
      m.view.write(Number(args[1]) as RealAddress, Uint8Array.of(0xee));
      return 0;
    };
    expect(m.upcall('H_PUT_TERM_CHAR')).toBe(0);
    expect(m.takeCalls()).toEqual(['UV_PAGE_OUT']);
    expect(m.port.gpr(4)).toBe(0xeen);
    expect(served).toBe(1);
    expect(m.kvm.statistics.hypercalls.H_PUT_TERM_CHAR).toBe(1);
  });

  it('whose memory cannot be paged out, or is in no slot, is H_PARAMETER', () => {
    const m = new Machine();
    m.boot();
    m.secure();
    m.answer = () => U_CODE.U_BUSY;
    m.serve = ({ vm, args }) => ({ status: m.kvm.memory.read(vm, args[0], 1)[0] });
    expect(m.upcall('H_PUT_TERM_CHAR', 2 * PAGE)).toBe(H_CODE.H_PARAMETER);
    expect(m.upcall('H_PUT_TERM_CHAR', 9 * PAGE)).toBe(H_CODE.H_PARAMETER);
    expect(m.upcall('H_PUT_TERM_CHAR', -1)).toBe(H_CODE.H_PARAMETER);
  });
});

describe('going back to a secure guest', () => {
  function secured(): Machine {
    const m = new Machine();
    m.boot();
    m.secure();
    return m;
  }

  it('gives UV_RETURN the status in R0, outputs, cookie and HSRR0 as received', () => {
    const m = secured();
    m.serve = () => ({ status: 3, out: [0x11n, 0x22n] });
    for (let n = 13; n < 31; n++) m.port.setGpr(n, BigInt(1000 + n));
    const left = m.hypercall('H_GET_TERM_CHAR', [5], true);
    expect(left).toMatchObject({ to: 'ultravisor', status: 3, hsrr0: 0x5555550n });
    expect(m.port.gpr(3)).toBe(0xf11cn);
    expect([m.port.gpr(4), m.port.gpr(5)]).toEqual([0x11n, 0x22n]);
    expect(m.port.gpr(31)).toBe(0x5555550n);
    for (let n = 13; n < 31; n++) expect(m.port.gpr(n)).toBe(BigInt(1000 + n));
  });

  it('injects by a vector in HSRR0 and SRR1 in R2 (3.16)', () => {
    const m = secured();
    const left = m.exit(VECTOR.SYSTEM_CALL, { pc: 0x5555550n, msr: MSR.SF | MSR.S | MSR.PR, status: SRR1.LEV1 });
    expect(left).toMatchObject({ to: 'ultravisor', hsrr0: VECTOR.PROGRAM });
    expect(m.port.gpr(2) & SRR1.STATUS).toBe(SRR1.PROGRAM_PRIVILEGED);
  });

  it('has a VM end whose UV_RETURN comes back', () => {
    const m = secured();
    m.hypercall('H_PROD', [0], true);
    m.calls.length = 0;
    expect(m.failReturn(U_CODE.U_PARAMETER).to).toBe('stop');
    expect(m.vm.end).toMatchObject({ kind: 'terminated', detail: expect.stringContaining('UV_RETURN') });
    expect(m.takeCalls()).toEqual(['UV_SVM_TERMINATE', 'UV_WRITE_PATE']);
    expect(m.vm.finalFrames).toEqual({ normal: 0, unbacked: 0, secure: 8, shared: 0 });
  });
});

describe('several vCPUs on one CPU', () => {
  it('take turns with the decrementer as their own', () => {
    const m = new Machine({ vcpus: 2 });
    m.boot();
    const [, second] = m.vm.vcpus;
    second.state = 'running';
    second.context.pc = 0x9000n;
    second.context.msr = MSR.SF;
    second.decrementerExpires = 5000n;
    m.port.setSpr(SPR.DEC, 300n);
    m.port.clock = 1000n;
    expect(m.exit(VECTOR.HV_DECREMENTER)).toMatchObject({ pc: 0x9000n });
    expect(m.port.spr(SPR.DEC)).toBe(4000n);
    m.port.clock = 2000n;
    expect(m.exit(VECTOR.HV_DECREMENTER)).toMatchObject({ pc: 0x1000n });
    expect(BigInt.asIntN(64, m.port.spr(SPR.DEC))).toBe(-1700n);
  });

  it('of a Transient VM: only the one in UV_ESM goes on', () => {
    const m = new Machine({ vcpus: 2 });
    m.boot();
    m.vm.vcpus[1].state = 'running';
    expect(m.upcall('H_SVM_INIT_START')).toBe(0);
    expect(m.upcall('H_CONFER', -1, 0)).toBe(0);
    expect(m.upcall('H_SVM_INIT_DONE')).toBe(0);
  });

  it('a CPU without work waits until the first is due, and comes back from stop or by a vector', () => {
    const m = new Machine({ vcpus: 2 });
    m.boot();
    m.port.setSpr(SPR.DEC, 700n);
    expect(m.hypercall('H_CEDE').to).toBe('stop');
    expect(m.port.spr(SPR.HDEC)).toBe(700n);
    m.port.clock = 500n;
    expect(m.enter(m.port.stubPage + 0x34n).to).toBe('stop');
    m.port.clock = 701n;
    expect(m.enter(VECTOR.HV_DECREMENTER)).toMatchObject({ to: 'guest', pc: 0x1000n, msr: MSR.SF | MSR.EE | MSR.ME });
    expect(m.port.gpr(3)).toBe(0n);
    expect(BigInt.asIntN(64, m.port.spr(SPR.DEC))).toBe(-1n);
  });

  it('of a VM that becomes secure: one that was in normal state stops', () => {
    const m = new Machine({ vcpus: 2 });
    m.boot();
    m.vm.vcpus[1].state = 'running';
    m.secure();
    expect(m.vm.vcpus.map(({ state }) => state)).toEqual(['running', 'stopped']);
  });
});

describe('several CPUs', () => {
  /** vCPU 0 on CPU 0, vCPU 1 on CPU 1, both in the guest. */
  function two(): { m: Machine; second: FakePort } {
    const m = new Machine({ vcpus: 2, cpus: 2 });
    m.boot();
    const [, vcpu] = m.vm.vcpus;
    vcpu.state = 'running';
    vcpu.context.pc = 0x9000n;
    const second = new FakePort(1);
    expect(m.kvm.enter(second, BOOT_ENTRY)).toBe('hrfid');
    expect(second.spr(SPR.HSRR0)).toBe(0x9000n);
    return { m, second };
  }

  function fault(m: Machine, port: FakePort): string {
    port.setSpr(SPR.HSRR0, 0x9000n);
    port.setSpr(SPR.HSRR1, MSR.SF | DSISR.NO_TRANSLATION);
    port.setSpr(SPR.ASDR, 0x9000n);
    return m.kvm.enter(port, VECTOR.HV_INSTRUCTION_STORAGE);
  }

  it('a CPU without a vCPU waits, a time slice at a time', () => {
    const m = new Machine({ cpus: 2 });
    m.boot();
    const second = new FakePort(1);
    expect(m.kvm.enter(second, BOOT_ENTRY)).toBe('stop');
    expect(second.spr(SPR.HDEC)).toBe(1000n);
  });

  it('a vCPU in normal state stops where it is once its VM is Transient, and goes on after an abort', () => {
    const { m, second } = two();
    m.takeCalls();
    // H_SVM_INIT_START waits for the other CPU, whose doorbell it rings.
    expect(m.hypercall('H_SVM_INIT_START', [], true).to).toBe('stop');
    expect(m.calls).toEqual([]);
    expect(m.port.doorbells).toEqual([1]);
    expect(m.enter(m.port.stubPage + 0x34n).to).toBe('stop');
    second.setSpr(SPR.HSRR0, 0x9000n);
    second.setSpr(SPR.HSRR1, MSR.SF);
    expect(m.kvm.enter(second, VECTOR.HV_DOORBELL)).toBe('stop');
    expect(second.doorbells).toEqual([0]);
    expect(m.enter(m.port.stubPage + 0x34n)).toMatchObject({ to: 'ultravisor', status: 0 });
    expect(m.takeCalls()).toEqual(['UV_REGISTER_MEM_SLOT']);
    expect(m.upcall('H_SVM_PAGE_IN', m.gpa(1), 0, 16)).toBe(0);
    const used = m.kvm.pages.used;
    expect(m.kvm.enter(second, second.stubPage + 0x34n)).toBe('stop');
    expect(m.kvm.pages.used).toBe(used);
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_CODE.H_PARAMETER);
    expect(m.kvm.enter(second, second.stubPage + 0x34n)).toBe('hrfid');
    expect(second.spr(SPR.HSRR0)).toBe(0x9000n);
    expect(fault(m, second)).toBe('hrfid');
  });

  it('a VM that ends while another CPU is in the middle of a call for it stays until that is over', () => {
    const { m, second } = two();
    expect(m.hypercall('H_SVM_INIT_START', [], true).to).toBe('stop');
    second.setSpr(SPR.HSRR0, 0x9000n);
    second.setSpr(SPR.HSRR1, MSR.SF);
    expect(m.kvm.enter(second, 0x300n)).toBe('stop');
    expect(m.vm.end).not.toBeNull();
    expect(m.kvm.finished).toBe(false);
    expect(m.enter(m.port.stubPage + 0x34n).to).toBe('stop');
    expect(m.kvm.finished).toBe(true);
  });

  it('a vCPU whose VM another CPU ended is not heard any more', () => {
    const { m, second } = two();
    m.exit(0x300n);
    // The VM stays as long as the other CPU is in it, whose doorbell was rung.
    expect(m.kvm.finished).toBe(false);
    expect(m.port.doorbells).toEqual([1]);
    const used = m.kvm.pages.used;
    // The fault is not served any more.
    expect(fault(m, second)).toBe('ultracall');
    expect(m.kvm.pages.used).toBe(used);
    second.setGpr(3, 0n);
    expect(m.kvm.enter(second, second.stubPage + 0x24n)).toBe('stop');
    expect(m.kvm.finished).toBe(true);
  });
});

describe('the page at real address 0', () => {
  it('is never given out', () => {
    const { view } = new Machine();
    const pages = new HostPages(view, [{ base: 0 as RealAddress, size: 3 * PAGE }]);
    expect([pages.allocate(), pages.allocate(), pages.allocate()]).toEqual([PAGE, 2 * PAGE, undefined]);
  });
});

describe('an interrupt from the hypervisor itself', () => {
  it('is a bug of ours', () => {
    const m = new Machine();
    m.boot();
    expect(() => m.exit(VECTOR.SYSTEM_CALL, { msr: MSR.SF | MSR.HV })).toThrow(/own code/);
  });
});
