/** The interrupt that stands for an inter-processor interrupt in XISR; 0 is none (PAPR, "Interrupt controller"). */
export const XICS_IPI = 2;
/** The first number of an interrupt source, and how many there are. */
export const XICS_SOURCE_BASE = 0x1000;
export const XICS_SOURCES = 0x1000;
/** The least favoured priority: a source that has it is masked, a processor that has it lets all others through. */
export const LEAST_FAVOURED = 0xff;

const XISR_MASK = 0xffffff;
const CPPR_SHIFT = 24;

/** Interrupt presentation controller of one vCPU, as plain data. */
export interface Presentation {
  /** Current processor priority: only more favoured (lower) interrupts are presented. */
  cppr: number;
  /** Priority of the inter-processor interrupt; 0xff: none is requested. */
  mfrr: number;
  /** The interrupt that is presented, 0 for none. It is the vCPU's external interrupt line. */
  xisr: number;
  /** Priority of `xisr`. */
  pending: number;
  /** `xisr` was set and the vCPU's CPU was not told yet. */
  raised: boolean;
}

/** An interrupt source as plain data. */
export interface Source {
  /** Level-triggered (LSI), as PCI pins are; else edge-triggered. */
  readonly level: boolean;
  /** Level-triggered: the line is up; and an interrupt for it was presented whose end is still to come. */
  asserted: boolean;
  sent: boolean;
  server: number;
  priority: number;
  /** What ibm,int-on brings back. */
  savedPriority: number;
  /** It was presented and not accepted, or could not be presented: comes again when it can. */
  rejected: boolean;
  /** It came while it was masked. */
  maskedPending: boolean;
}

const MASKED: Omit<Source, 'level'> = {
  asserted: false,
  sent: false,
  server: 0,
  priority: LEAST_FAVOURED,
  savedPriority: LEAST_FAVOURED,
  rejected: false,
  maskedPending: false,
};

/** The interrupt controller of one VM (power-pef.md 9.5): what QEMU's XICS does, on plain data. */
export interface Xics {
  readonly presentations: Presentation[];
  /** By number. A number that no device has is not there. */
  readonly sources: Map<number, Source>;
}

/** After reset: every processor at the most favoured priority, so that nothing is presented, and every source masked. */
export function createXics(servers: number): Xics {
  return {
    presentations: Array.from({ length: servers }, () => ({
      cppr: 0,
      mfrr: LEAST_FAVOURED,
      xisr: 0,
      pending: LEAST_FAVOURED,
      raised: false,
    })),
    sources: new Map(),
  };
}

/** The state after `createXics`, with the sources that devices have. */
export function resetXics(xics: Xics): void {
  const fresh = createXics(xics.presentations.length);
  for (const [server, icp] of xics.presentations.entries()) Object.assign(icp, fresh.presentations[server]);
  for (const source of xics.sources.values()) Object.assign(source, MASKED);
}

/** Gives a device an interrupt. @throws RangeError if the number is no source's, or is taken */
export function claimSource(xics: Xics, number: number, level: boolean): void {
  const inRange = number >= XICS_SOURCE_BASE && number < XICS_SOURCE_BASE + XICS_SOURCES;
  if (!inRange || xics.sources.has(number)) throw new RangeError(`interrupt 0x${number.toString(16)} cannot be had`);
  xics.sources.set(number, { ...MASKED, level });
}

/** Whether the vCPU's external interrupt line is up. */
export function hasExternal(xics: Xics, server: number): boolean {
  return (xics.presentations[server]?.xisr ?? 0) !== 0;
}

/** H_CPPR, and part of H_XIRR_X. */
export function setCppr(xics: Xics, server: number, cppr: number): void {
  const icp = presentation(xics, server);
  const old = icp.cppr;
  icp.cppr = cppr;
  if (cppr >= old) {
    if (icp.xisr === 0) resend(xics, server);
  } else if (icp.xisr !== 0 && cppr <= icp.pending) {
    const rejected = icp.xisr;
    icp.xisr = 0;
    icp.pending = LEAST_FAVOURED;
    reject(xics, rejected);
  }
}

/** H_IPI: requests an inter-processor interrupt of this priority, or takes it back with 0xff. */
export function setMfrr(xics: Xics, server: number, mfrr: number): void {
  const icp = presentation(xics, server);
  icp.mfrr = mfrr;
  if (mfrr < icp.cppr) presentIpi(xics, icp);
}

/** H_XIRR: accepts what is presented; its priority is the processor's from then on. Gives CPPR and XISR from before. */
export function accept(xics: Xics, server: number): number {
  const icp = presentation(xics, server);
  const before = xirr(xics, server);
  icp.cppr = icp.pending;
  icp.xisr = 0;
  icp.pending = LEAST_FAVOURED;
  return before;
}

/** H_IPOLL: CPPR and XISR as H_XIRR would give them. */
export function xirr(xics: Xics, server: number): number {
  const { cppr, xisr } = presentation(xics, server);
  return ((cppr << CPPR_SHIFT) | xisr) >>> 0;
}

/** H_EOI: ends an interrupt; CPPR is the one in `value`. */
export function endOfInterrupt(xics: Xics, server: number, value: number): void {
  const icp = presentation(xics, server);
  icp.cppr = value >>> CPPR_SHIFT;
  const source = xics.sources.get(value & XISR_MASK);
  if (source !== undefined) source.sent = false;
  if (icp.xisr === 0) resend(xics, server);
}

/** A device pulses its interrupt. @throws RangeError for a number that no device has */
export function pulse(xics: Xics, number: number): void {
  const source = xics.sources.get(number);
  if (source === undefined) throw new RangeError(`no source has interrupt 0x${number.toString(16)}`);
  if (source.priority === LEAST_FAVOURED) source.maskedPending = true;
  else present(xics, number, source);
}

/** A device raises or lowers its line. @throws RangeError for a number that no device has */
export function setLevel(xics: Xics, number: number, asserted: boolean): void {
  const source = xics.sources.get(number);
  if (source === undefined) throw new RangeError(`no source has interrupt 0x${number.toString(16)}`);
  source.asserted = asserted;
  presentLevel(xics, number, source);
}

/** ibm,set-xive, ibm,int-on and ibm,int-off: where a source goes, and with what priority. */
export function route(xics: Xics, number: number, to: Pick<Source, 'server' | 'priority' | 'savedPriority'>): void {
  const source = xics.sources.get(number);
  if (source === undefined) throw new RangeError(`no source has interrupt 0x${number.toString(16)}`);
  Object.assign(source, to);
  if (source.level) presentLevel(xics, number, source);
  if (!source.maskedPending || source.priority === LEAST_FAVOURED) return;
  source.maskedPending = false;
  present(xics, number, source);
}

function presentation(xics: Xics, server: number): Presentation {
  const icp = xics.presentations[server];
  if (icp === undefined) throw new RangeError(`no interrupt server ${server}`);
  return icp;
}

function raise(icp: Presentation, xisr: number, priority: number): void {
  icp.xisr = xisr & XISR_MASK;
  icp.pending = priority;
  icp.raised = true;
}

/** An interrupt that was presented gives way; an inter-processor interrupt stays in MFRR anyway. */
function reject(xics: Xics, number: number): void {
  const source = xics.sources.get(number);
  if (source !== undefined) comeAgain(source);
}

/** It could not be presented, or gave way. */
function comeAgain(source: Source): void {
  if (source.level) source.sent = false;
  else source.rejected = true;
}

/** Presents a level-triggered interrupt as long as its line is up, once until its end. */
function presentLevel(xics: Xics, number: number, source: Source): void {
  if (!source.asserted || source.sent || source.priority === LEAST_FAVOURED) return;
  source.sent = true;
  present(xics, number, source);
}

function presentIpi(xics: Xics, icp: Presentation): void {
  if (icp.xisr !== 0 && icp.pending <= icp.mfrr) return;
  if (icp.xisr !== 0) reject(xics, icp.xisr);
  raise(icp, XICS_IPI, icp.mfrr);
}

function present(xics: Xics, number: number, source: Source): void {
  const icp = presentation(xics, source.server);
  const { priority } = source;
  if (priority >= icp.cppr || (icp.xisr !== 0 && icp.pending <= priority)) {
    comeAgain(source);
    return;
  }
  if (icp.xisr !== 0) reject(xics, icp.xisr);
  raise(icp, number, priority);
}

/** A processor takes interrupts again: what was rejected comes again, on whatever processor. */
function resend(xics: Xics, server: number): void {
  const icp = presentation(xics, server);
  if (icp.mfrr < icp.cppr) presentIpi(xics, icp);
  for (const [number, source] of xics.sources) {
    if (source.level) presentLevel(xics, number, source);
    if (!source.rejected) continue;
    source.rejected = false;
    if (source.priority !== LEAST_FAVOURED) present(xics, number, source);
  }
}
