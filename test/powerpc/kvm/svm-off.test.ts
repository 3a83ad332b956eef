import { describe, expect, it } from 'vitest';
import { H_CODE } from '../../../src/powerpc/abi.ts';
import { vmState } from '../../../src/powerpc/kvm/vm-state.ts';
import { makeMachine, Program } from '../../support/power-program.ts';
import { Machine, PAGE } from './machine.ts';

const EBUSY = -16;
/** A hypercall that nobody knows: any entry into the hypervisor. */
const NOTHING = 0x5550;
/** H_REGISTER_VPA's function in R4 for a VPA (9.4). */
const REGISTER_VPA = 1n << 45n;

/** A secure VM of two vCPUs, whose frame 3 is shared. */
function secure(): Machine {
  const m = new Machine({ vcpus: 2 });
  m.boot();
  m.secure();
  expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16)).toBe(0);
  return m;
}

function svmOff(m: Machine): number | undefined {
  const job = m.kvm.scheduleSvmOff(m.vm);
  m.hypercall(NOTHING, [], true);
  return job.result;
}

describe('KVM_PPC_SVM_OFF', () => {
  it.each([0, 1])('while vCPU %i could run is −EBUSY, and nothing has changed (10.2 #48)', (running) => {
    const m = secure();
    for (const vcpu of m.vm.vcpus) vcpu.state = vcpu.id === running ? 'ceded' : 'stopped';
    m.calls.length = 0;
    const before = m.snapshot();
    expect(svmOff(m)).toBe(EBUSY);
    expect(m.snapshot()).toBe(before);
    expect(m.calls).toEqual([]);
  });

  it('lets go of the VPAs of all vCPUs first: their pages are pinned no more (10.2 #49)', () => {
    const m = secure();
    // Size in bytes, big-endian, 4 bytes into the area.
    for (const at of [3 * PAGE, 3 * PAGE + 0x1000]) m.kvm.memory.write(m.vm, at + 4, Uint8Array.of(2, 0x80));
    for (const [id, at] of [3 * PAGE, 3 * PAGE + 0x1000].entries()) {
      expect(m.upcall('H_REGISTER_VPA', REGISTER_VPA, id, at)).toBe(H_CODE.H_SUCCESS);
    }
    expect([...m.vm.pins]).toEqual([[3, 2]]);
    for (const vcpu of m.vm.vcpus) vcpu.state = 'stopped';
    expect(svmOff(m)).toBe(0);
    expect([...m.vm.pins]).toEqual([]);
    expect(m.vm.vcpus.map(({ vpa }) => vpa)).toEqual([null, null]);
    expect(vmState(m.vm.secureGuest)).toBe('normal');
  });
});

describe('kexec in an SVM', () => {
  it('unshares all, and the new kernel finds S=1 and goes on without UV_ESM (10.2 #53)', () => {
    const shared = 0x70;
    const program = new Program()
      .label('kernel')
      .whenSecure('secure')
      .li(20, 0)
      .esm(3)
      .label('secure')
      .cmpdi(20, 1)
      .beq('second');
    program
      .li(4, shared)
      .li(5, 1)
      .li(3, 0xf130)
      .sc(2)
      .li(21, shared * PAGE)
      .li(22, 0x5151)
      .std(22, 0, 21);
    program.li(3, 0xf140).sc(2).printRegister(3).li(20, 1).b('kernel');
    program
      .label('second')
      .li(21, shared * PAGE)
      .ld(23, 0, 21)
      .printRegister(23);
    // Were it to ask once more, it would be told that it is secure already (10.2 #34).
    program.li(4, 0x400000).li(5, 0x100000).li(3, 0xf110).sc(2).printRegister(3).mfmsr(24).printRegister(24).powerOff();
    const run = makeMachine(true, [{ program }]);
    expect(run.machine.run(2_000_000).kind).toBe('poweroff');
    const bytes = run.consoles[0].written();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const [unshared, found, again, msr] = Array.from({ length: 4 }, (_, i) => view.getBigUint64(8 * i));
    expect([unshared, found, again]).toEqual([0n, 0n, 0n]);
    expect(msr & 0x400000n).toBe(0x400000n);
    const calls = run.trace.events.filter((event) => event.type === 'call');
    expect(calls.filter(({ number }) => number === 0xef08)).toHaveLength(1);
  });
});
