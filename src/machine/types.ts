/** A real address: where a byte is in the machine's physical address space. An integer below 2^52, so that a number holds it exactly. */
export type RealAddress = number & { readonly __brand: 'RealAddress' };

/** The largest real address plus one. */
export const REAL_ADDRESS_LIMIT = 2 ** 52;

/**
 * @param address bytes; a bigint or an integral number
 * @returns undefined if it is no real address of any machine: negative, not an integer, or 2^52 and above
 */
export function realAddress(address: bigint | number): RealAddress | undefined {
  const value = Number(address);
  if (!Number.isInteger(value) || value < 0 || value >= REAL_ADDRESS_LIMIT) return undefined;
  return value as RealAddress;
}

/** Who reaches memory, for the trace and for what a region admits. */
export type Agent = 'ultravisor' | 'hypervisor' | 'vmm' | 'device' | 'firmware';

/** Why an access to memory was not carried out. */
export type Refusal = 'secure' | 'unpopulated';

/**
 * An access that the machine refused, as hardware would by a machine check or a device error. It is a value of the untrusted side: native
 * hypervisor and device code may catch it and go on.
 */
export class AccessRefused extends Error {
  readonly agent: Agent;
  readonly address: RealAddress;
  readonly length: number;
  readonly refusal: Refusal;

  constructor(agent: Agent, address: RealAddress, length: number, refusal: Refusal) {
    super(`${agent} may not reach ${length} bytes at real address 0x${address.toString(16)}: ${refusal} memory`);
    this.name = 'AccessRefused';
    this.agent = agent;
    this.address = address;
    this.length = length;
    this.refusal = refusal;
  }
}

/** An option of a machine that cannot be granted: which one, and why. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
  /** The option as the command line names it. */
  readonly option: string;
  readonly reason: string;

  constructor(option: string, reason: string) {
    super(`${option}: ${reason}`);
    this.option = option;
    this.reason = reason;
  }
}
