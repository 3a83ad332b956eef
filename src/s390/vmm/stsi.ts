import { toEbcdic } from './ebcdic.ts';

/** STSI 3.2.2, information on virtual machines (Principles of Operation, "SYSIB 3.2.2"): offsets in the block and in a description. */
const BYTES = 4096;
const COUNT = 31;
const DESCRIPTION = 32;
const FIELD = { CPUS: 4, CONFIGURED: 6, NAME: 16, ADJUSTMENT: 24, PROGRAM: 28, NAME_ENCODING: 47 } as const;
const EXTENDED_NAME = 2048;
const EXTENDED_NAME_BYTES = 256;

/** The CPUs run at full capability. */
const FULL_CAPABILITY = 1000;
const UTF_8 = 2;
/** By this Linux knows that DIAGNOSE 0x500 and virtio are there. */
const CONTROL_PROGRAM = 'KVM/Linux';

/** The block of a machine whose one virtual machine is the guest itself. */
export function virtualMachineInformation(cpus: number, name: string): Uint8Array {
  const block = new Uint8Array(BYTES);
  const view = new DataView(block.buffer);
  block[COUNT] = 1;
  view.setUint16(DESCRIPTION + FIELD.CPUS, cpus);
  view.setUint16(DESCRIPTION + FIELD.CONFIGURED, cpus);
  block.set(ebcdic(name.toUpperCase(), 8), DESCRIPTION + FIELD.NAME);
  view.setUint32(DESCRIPTION + FIELD.ADJUSTMENT, FULL_CAPABILITY);
  block.set(ebcdic(CONTROL_PROGRAM, 16), DESCRIPTION + FIELD.PROGRAM);
  block[DESCRIPTION + FIELD.NAME_ENCODING] = UTF_8;
  block.set(new TextEncoder().encode(name).subarray(0, EXTENDED_NAME_BYTES), EXTENDED_NAME);
  return block;
}

function ebcdic(text: string, bytes: number): Uint8Array {
  return toEbcdic(new TextEncoder().encode(text.padEnd(bytes).slice(0, bytes)));
}
