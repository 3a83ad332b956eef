import { describe, expect, test } from 'vitest';
import { HID0, LPCR, MSR, SRR1, VECTOR } from '../../../src/powerpc/abi.ts';
import { INTERRUPTS, type Interrupt, interruptState } from '../../../src/powerpc/cpu/interrupts.ts';
import { levelOf } from '../../../src/powerpc/cpu/msr.ts';

const { SF, HV, S, EE, PR, ME, IR, DR, RI, LE, FP, VEC, VSX } = MSR;
const NONE = { lpcr: 0n, hid0: 0n };

/** Sheet 1.9, row by row: interrupt, vector, save registers, where it goes with S=1. */
const TABLE: readonly [Interrupt, number, 'SRR' | 'HSRR', 'UV' | 'SVM kernel'][] = [
  ['systemReset', 0x100, 'SRR', 'UV'],
  ['machineCheck', 0x200, 'SRR', 'UV'],
  ['dataStorage', 0x300, 'SRR', 'SVM kernel'],
  ['instructionStorage', 0x400, 'SRR', 'SVM kernel'],
  ['dataSegment', 0x380, 'SRR', 'SVM kernel'],
  ['instructionSegment', 0x480, 'SRR', 'SVM kernel'],
  ['externalToOs', 0x500, 'SRR', 'SVM kernel'],
  ['externalToHypervisor', 0x500, 'HSRR', 'UV'],
  ['alignment', 0x600, 'SRR', 'SVM kernel'],
  ['program', 0x700, 'SRR', 'SVM kernel'],
  ['fpUnavailable', 0x800, 'SRR', 'SVM kernel'],
  ['decrementer', 0x900, 'SRR', 'SVM kernel'],
  ['hypervisorDecrementer', 0x980, 'HSRR', 'UV'],
  ['privilegedDoorbell', 0xa00, 'SRR', 'SVM kernel'],
  ['systemCall', 0xc00, 'SRR', 'SVM kernel'],
  ['hypercall', 0xc00, 'SRR', 'UV'],
  ['ultracall', 0xc00, 'SRR', 'UV'],
  ['trace', 0xd00, 'SRR', 'SVM kernel'],
  ['hypervisorDataStorage', 0xe00, 'HSRR', 'UV'],
  ['hypervisorInstructionStorage', 0xe20, 'HSRR', 'UV'],
  ['emulationAssistance', 0xe40, 'HSRR', 'UV'],
  ['hypervisorMaintenance', 0xe60, 'HSRR', 'UV'],
  ['hypervisorDoorbell', 0xe80, 'HSRR', 'UV'],
  ['hypervisorVirtualization', 0xea0, 'HSRR', 'UV'],
  ['performanceMonitor', 0xf00, 'SRR', 'SVM kernel'],
  ['vectorUnavailable', 0xf20, 'SRR', 'SVM kernel'],
  ['vsxUnavailable', 0xf40, 'SRR', 'SVM kernel'],
  ['facilityUnavailable', 0xf60, 'SRR', 'SVM kernel'],
  ['hypervisorFacilityUnavailable', 0xf80, 'HSRR', 'UV'],
  ['denormalAssist', 0x1500, 'HSRR', 'UV'],
];

test('the table of 1.9 is complete but for scv, which the sheet leaves out', () => {
  const names = [...TABLE.map(([name]) => name), 'systemCallVectored'];
  expect(names.sort()).toEqual(Object.keys(INTERRUPTS).sort());
});

describe.each(TABLE)('sheet 1.9: %s', (name, vector, save, secureTarget) => {
  test('vector and save registers', () => {
    expect(INTERRUPTS[name].vector).toBe(BigInt(vector));
    expect(INTERRUPTS[name].save).toBe(save);
  });

  test('with S=1 it goes to the table’s target', () => {
    const { privilege, secure } = levelOf(interruptState(name, SF | S | PR, 0n, NONE).msr);
    expect(privilege).toBe(secureTarget === 'UV' ? 'ultravisor' : 'supervisor');
    expect(secure).toBe(true);
  });

  test('with S=0 it goes to the hypervisor or the OS; S changes only by sc 2 (1.4)', () => {
    const { privilege, secure } = levelOf(interruptState(name, SF | PR, 0n, NONE).msr);
    const normal = secureTarget === 'UV' ? 'hypervisor' : 'supervisor';
    expect(privilege).toBe(name === 'ultracall' ? 'ultravisor' : normal);
    expect(secure).toBe(name === 'ultracall');
  });

  test('from HV=1 it stays in HV=1', () => {
    expect(interruptState(name, SF | HV, 0n, NONE).msr & HV).toBe(HV);
  });

  test('the new MSR: SF on; IR, DR, PR, EE, FP, VEC, VSX off; RI off unless HSRR; ME stays unless machine check', () => {
    const { msr } = interruptState(name, IR | DR | PR | EE | FP | VEC | VSX | RI | ME | LE, 0n, NONE);
    expect(msr & SF).toBe(SF);
    expect(msr & (IR | DR | PR | EE | FP | VEC | VSX | LE)).toBe(0n);
    expect(msr & RI).toBe(save === 'HSRR' ? RI : 0n);
    expect(msr & ME).toBe(name === 'machineCheck' ? 0n : ME);
  });

  test('LE comes from HID0[HILE] in HV=1 and from LPCR[ILE] in the OS', () => {
    const hile = interruptState(name, SF, 0n, { lpcr: 0n, hid0: HID0.HILE }).msr & LE;
    const ile = interruptState(name, SF, 0n, { lpcr: LPCR.ILE, hid0: 0n }).msr & LE;
    const toHypervisor = secureTarget === 'UV';
    expect(hile !== 0n).toBe(toHypervisor);
    expect(ile !== 0n).toBe(!toHypervisor);
  });
});

describe('ISA 3.0B, Book III 6.5.28: scv', () => {
  test('EE and RI stay as they are', () => {
    const { msr, nia } = interruptState('systemCallVectored', SF | PR | EE | RI | IR | DR | FP, 0n, NONE);
    expect(msr).toBe(SF | EE | RI);
    expect(nia).toBe(0x17000n);
  });

  test('AIL=3 moves it to 0xC…3000', () => {
    const { msr, nia } = interruptState('systemCallVectored', SF | PR | IR | DR, 0n, { lpcr: LPCR.AIL, hid0: 0n });
    expect(msr).toBe(SF | IR | DR);
    expect(nia).toBe(0xc000000000003000n);
  });

  test('in an SVM it stays there', () => {
    expect(levelOf(interruptState('systemCallVectored', SF | S | PR, 0n, NONE).msr).name).toBe('secure guest');
  });
});

describe('sheet 1.7, 1.9: save registers and AIL', () => {
  test('SRR1 is the old MSR with the status bits replaced', () => {
    const old = SF | S | EE | SRR1.STATUS;
    expect(interruptState('program', old, SRR1.PROGRAM_TRAP, NONE).savedMsr).toBe(SF | S | EE | SRR1.PROGRAM_TRAP);
  });

  test('AIL=3 with IR=DR=1 moves an OS interrupt to 0xC…4000 and keeps translation on', () => {
    const state = interruptState('decrementer', SF | IR | DR | EE, 0n, { lpcr: LPCR.AIL, hid0: 0n });
    expect(state.nia).toBe(0xc000000000004900n);
    expect(state.msr).toBe(SF | IR | DR);
  });

  test.each([
    ['IR=0', SF | DR, LPCR.AIL],
    ['DR=0', SF | IR, LPCR.AIL],
    ['AIL=2', SF | IR | DR, 0x1000000n],
    ['AIL=0', SF | IR | DR, 0n],
  ])('not with %s', (_, msr, lpcr) => {
    const state = interruptState('decrementer', msr, 0n, { lpcr, hid0: 0n });
    expect(state.nia).toBe(VECTOR.DECREMENTER);
    expect(state.msr).toBe(SF);
  });

  test('not where HV or S changes, not into the Ultravisor, not for system reset, machine check and HMI', () => {
    const registers = { lpcr: LPCR.AIL, hid0: 0n };
    const on = SF | IR | DR;
    expect(interruptState('hypercall', on, 0n, registers).nia).toBe(0xc00n);
    expect(interruptState('hypercall', on | S, 0n, registers).nia).toBe(0xc00n);
    expect(interruptState('ultracall', on | HV, 0n, registers).nia).toBe(0xc00n);
    expect(interruptState('program', on | S | HV, 0n, registers).nia).toBe(0x700n);
    for (const name of ['systemReset', 'machineCheck', 'hypervisorMaintenance'] as const) {
      expect(interruptState(name, on | HV, 0n, registers).nia).toBe(INTERRUPTS[name].vector);
    }
  });

  test('a hypervisor’s own interrupts are moved too', () => {
    const state = interruptState('hypervisorDecrementer', SF | HV | IR | DR, 0n, { lpcr: LPCR.AIL, hid0: 0n });
    expect(state.nia).toBe(0xc000000000004980n);
    expect(state.msr).toBe(SF | HV | IR | DR);
  });
});
