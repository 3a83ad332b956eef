/*
 * What the Ultravisor must do with calls about the pages of one SVM, said a second time: from power-pef.md 3.8 to 3.14, 3.18, 6.4, 6.6 and
 * the decisions in docs/powerpc.md, as plain data and without a look at src/. Numbers are the sheet's.
 */

export const PAGE = 0x10000;
const [SUCCESS, BUSY, PARAMETER, PERMISSION, STATE] = [0, 1, -4, -11, -75];
const [P2, P3, P4, P5] = [-55, -56, -57, -58];
const SECURE_BIT = 1n << 48n;
const LPIDS = 4096n;
const SLOTS = 512n;
const GPA_LIMIT = 1n << 52n;
/** How often a paged-out page is asked for before its share fails (6.6 step 1). */
const TRIES = 4;

export type State =
  | 'SECURE'
  | 'PAGEDOUT'
  | 'SHARED'
  | 'SHARED_INV'
  | 'SHARED_IMPLICIT'
  | 'SHARED_IMPLICIT_INV'
  | 'HV_SHARING'
  | 'HV_SHARED'
  | 'HV_SHARED_INV'
  | 'HV_UNSHARING'
  | 'HV_UNSHARING_INV'
  | 'HV_UNSHARED';

/** Columns INVAL, IN and OUT of table 3.18 for a secure VM: the next state, or the code of a refusal. */
const TABLE: Readonly<
  Record<State, readonly [inval: State | number, pageIn: State | number, pageOut: State | number]>
> = {
  SECURE: [P2, P2, 'PAGEDOUT'],
  PAGEDOUT: [P2, 'SECURE', PARAMETER],
  HV_SHARING: [P2, 'HV_SHARED', BUSY],
  HV_SHARED: ['HV_SHARED_INV', 'HV_SHARED', BUSY],
  HV_SHARED_INV: ['HV_SHARED_INV', 'HV_SHARED', BUSY],
  SHARED: ['SHARED_INV', 'SHARED', 'SHARED'],
  SHARED_INV: ['SHARED_INV', 'SHARED', 'SHARED_INV'],
  SHARED_IMPLICIT: ['SHARED_IMPLICIT_INV', 'SHARED_IMPLICIT', 'SHARED_IMPLICIT'],
  SHARED_IMPLICIT_INV: ['SHARED_IMPLICIT_INV', 'SHARED_IMPLICIT', 'SHARED_IMPLICIT_INV'],
  HV_UNSHARING: ['HV_UNSHARING_INV', 'HV_UNSHARING', BUSY],
  HV_UNSHARING_INV: ['HV_UNSHARING_INV', 'HV_UNSHARING', BUSY],
  HV_UNSHARED: [P2, P2, BUSY],
};
/** States in which the hypervisor's page is known. */
const WITH_PAGE: ReadonlySet<State> = new Set<State>(['HV_SHARED', 'SHARED', 'SHARED_IMPLICIT']);
const TRANSIENT = (state: State): boolean => state.startsWith('HV_');

export interface ModelPage {
  state: State;
  /** What the SVM keeps in secure memory, or in ciphertext; null for what is only the hypervisor's. */
  contents: Uint8Array | null;
  /** The hypervisor's page. */
  hvPage: number | null;
  /** The ciphertext that alone can come back. */
  ciphertext: Uint8Array | null;
}

/** What a call is to come to, and what the hypervisor is asked for now, if it gets control. */
export type Answer = { readonly code: number } | { readonly asked: Asked } | 'killed';
/** H_SVM_PAGE_IN with gpa and flags, a fault that it is to mend, or any other exit. */
export type Asked = { readonly gfn: number; readonly flags: 0 | 1 } | 'fault' | 'hypercall';

type Operation =
  | { readonly kind: 'share'; readonly gfns: readonly number[]; readonly at: number; readonly tries: number }
  | { readonly kind: 'undo' | 'unshare'; readonly gfns: readonly number[]; readonly at: number }
  | { readonly kind: 'plain' };

interface Slot {
  readonly id: bigint;
  readonly first: bigint;
  readonly count: bigint;
}

const ZERO = new Uint8Array(PAGE);

/** The pages of a secure VM whose one vCPU makes all its calls, and the hypervisor's pages that matter. */
export class ReferenceModel {
  vm: 'SECURE' | 'DEAD' | 'NORMAL' = 'SECURE';
  readonly pages = new Map<number, ModelPage>();
  readonly slots: Slot[];
  readonly lost: Slot[] = [];
  /** Every normal page that a call may name, by address, with what is in it. */
  readonly normal = new Map<number, Uint8Array>();
  operation: Operation | null = null;
  readonly #lpid: bigint;
  /** Bytes of normal memory, from 0. */
  readonly #normalBytes: bigint;

  constructor(lpid: number, slot: { id: number; pages: number }, normalBytes: number) {
    this.#lpid = BigInt(lpid);
    this.#normalBytes = BigInt(normalBytes);
    this.slots = [{ id: BigInt(slot.id), first: 0n, count: BigInt(slot.pages) }];
  }

  /** UV_PAGE_IN (3.10). */
  pageIn(lpid: bigint, ra: bigint, gpa: bigint, flags: bigint, order: bigint): number {
    if (order !== 16n) return P5;
    if (flags > 7n || (flags & 3n) === 3n) return P4;
    if (!this.#isNormal(ra)) return P2;
    const page = this.#page(lpid, gpa, P3);
    if (typeof page === 'number') return page;
    const next = TABLE[page.state][1];
    if (typeof next === 'number') return next;
    const source = this.#read(Number(ra));
    if (page.state === 'PAGEDOUT') {
      if (page.ciphertext === null || Buffer.compare(page.ciphertext, source) !== 0) return P3;
      page.ciphertext = null;
    }
    page.state = next;
    page.hvPage = WITH_PAGE.has(next) ? Number(ra) : null;
    return SUCCESS;
  }

  /** UV_PAGE_OUT (3.11); `written` is told when ciphertext is to be in the page, with whether it can come back. */
  pageOut(
    [lpid, ra, gpa, flags, order]: readonly bigint[],
    written: (page: ModelPage, ra: number, comesBack: boolean) => void,
  ): number {
    if (order !== 16n) return P5;
    if (flags > 1n) return P4;
    if (!this.#isNormal(ra)) return P2;
    const page = this.#page(lpid, gpa, P3);
    if (typeof page === 'number') return page;
    const next = TABLE[page.state][2];
    if (typeof next === 'number') return next;
    if (next === 'PAGEDOUT') {
      if (flags === 0n) page.state = next;
      written(page, Number(ra), flags === 0n);
    }
    return SUCCESS;
  }

  /** UV_PAGE_INVAL (3.12). */
  pageInval(lpid: bigint, gpa: bigint, order: bigint): number {
    if (order !== 16n) return P3;
    const page = this.#page(lpid, gpa, P2);
    if (typeof page === 'number') return page;
    const next = TABLE[page.state][0];
    if (typeof next === 'number') return next;
    page.state = next;
    page.hvPage = null;
    return SUCCESS;
  }

  /** UV_REGISTER_MEM_SLOT (3.8); a range that was taken away never comes back. */
  registerSlot(lpid: bigint, start: bigint, size: bigint, flags: bigint, id: bigint): number {
    if (!this.#isSvm(lpid)) return PARAMETER;
    if (this.vm === 'DEAD') return STATE;
    if (start % BigInt(PAGE) !== 0n || start >= GPA_LIMIT) return P2;
    if (size === 0n || size % BigInt(PAGE) !== 0n || size >= GPA_LIMIT || start + size > GPA_LIMIT) return P3;
    const slot = { id, first: start / BigInt(PAGE), count: size / BigInt(PAGE) };
    const overlaps = ({ first, count }: Slot) => slot.first < first + count && first < slot.first + slot.count;
    if (this.slots.some(overlaps) || this.lost.some(overlaps)) return P3;
    if (flags !== 0n) return P4;
    if (id >= SLOTS || this.slots.some((other) => other.id === id)) return P5;
    this.slots.push(slot);
    for (let n = 0n; n < slot.count; n++) this.pages.set(Number(slot.first + n), fresh());
    return SUCCESS;
  }

  /** UV_UNREGISTER_MEM_SLOT (3.9). */
  unregisterSlot(lpid: bigint, id: bigint): number {
    if (!this.#isSvm(lpid)) return PARAMETER;
    const index = this.slots.findIndex((slot) => slot.id === id);
    if (index < 0) return P2;
    const [slot] = this.slots.splice(index, 1);
    for (let n = 0n; n < slot.count; n++) this.pages.delete(Number(slot.first + n));
    if (this.vm === 'SECURE') this.lost.push(slot);
    return SUCCESS;
  }

  /** UV_SVM_TERMINATE (3.13); U_INVALID is U_PARAMETER's number. */
  terminate(lpid: bigint, running: boolean): number {
    if (!this.#isSvm(lpid)) return PARAMETER;
    if (running) return BUSY;
    this.vm = 'NORMAL';
    this.operation = null;
    this.pages.clear();
    this.slots.length = 0;
    return SUCCESS;
  }

  /** UV_WRITE_PATE of another dw0 for a VM with an Ultravisor's tree (3.4). */
  readonly otherPate = PERMISSION;

  /** UV_SHARE_PAGE (3.14, 6.6). */
  share(first: bigint, count: bigint): Answer {
    const range = this.#range(first, count);
    return typeof range === 'number' ? { code: range } : this.#shareFrom(range, 0);
  }

  /** UV_UNSHARE_PAGE. */
  unshare(first: bigint, count: bigint): Answer {
    const range = this.#range(first, count);
    if (typeof range === 'number') return { code: range };
    const bad = range.some((gfn) => {
      const { state } = this.#at(gfn);
      return TRANSIENT(state) || state.startsWith('SHARED_IMPLICIT');
    });
    return bad ? { code: P2 } : this.#unshareFrom(range, 0);
  }

  /** UV_UNSHARE_ALL_PAGES. */
  unshareAll(): Answer {
    const shared = [...this.pages].filter(([, { state }]) => state === 'SHARED' || state === 'SHARED_INV');
    return this.#unshareFrom(
      shared.map(([gfn]) => gfn).sort((a, b) => a - b),
      0,
    );
  }

  /** A load or store of the SVM in a frame (6.4). */
  touch(gfn: number): Answer {
    const { state } = this.#at(gfn);
    if (state.startsWith('SHARED_IMPLICIT')) return this.#kill();
    if (state === 'PAGEDOUT') return this.#ask({ kind: 'plain' }, { gfn, flags: 0 });
    if (state === 'SHARED_INV') return this.#ask({ kind: 'plain' }, 'fault');
    return { code: SUCCESS };
  }

  hypercall(): Answer {
    return this.#ask({ kind: 'plain' }, 'hypercall');
  }

  /** UV_RETURN with a result. `code: null`: the SVM goes on with what it had. */
  returned(result: number): Answer | { readonly code: null } {
    const operation = this.operation;
    if (operation === null) throw new Error('nothing was asked');
    this.operation = null;
    if (operation.kind === 'plain') return { code: null };
    const { gfns, at } = operation;
    const page = this.pages.get(gfns[at]);
    switch (operation.kind) {
      case 'share':
        return this.#shareReturned(operation, page, result);
      case 'undo':
        if (page?.state.startsWith('HV_UNSHARING')) page.state = 'SECURE';
        return this.#undoFrom(gfns, at + 1);
      case 'unshare':
        if (result !== 0) return this.#kill();
        if (page?.state.startsWith('HV_UNSHARING')) page.state = 'HV_UNSHARED';
        return this.#unshareFrom(gfns, at + 1);
    }
  }

  /** What the SVM reads in a frame; undefined if it cannot without the hypervisor. */
  reads(page: ModelPage): Uint8Array | undefined {
    if (page.state === 'SHARED') return this.#read(page.hvPage ?? 0);
    return page.state === 'SECURE' ? (page.contents ?? ZERO) : undefined;
  }

  write(page: ModelPage, bytes: Uint8Array): void {
    if (page.state === 'SHARED') this.normal.set(page.hvPage ?? 0, bytes);
    else page.contents = bytes;
  }

  #shareFrom(gfns: readonly number[], first: number): Answer {
    for (let at = first; at < gfns.length; at++) {
      const page = this.pages.get(gfns[at]);
      if (page === undefined || TRANSIENT(page.state)) return this.#undoFrom(gfns.slice(0, at), 0);
      if (page.state === 'PAGEDOUT')
        return this.#ask({ kind: 'share', gfns, at, tries: 1 }, { gfn: gfns[at], flags: 0 });
      if (page.state !== 'SECURE') continue;
      page.state = 'HV_SHARING';
      return this.#ask({ kind: 'share', gfns, at, tries: 0 }, { gfn: gfns[at], flags: 1 });
    }
    for (const gfn of gfns) {
      const page = this.pages.get(gfn);
      if (page === undefined || page.state.startsWith('SHARED_IMPLICIT')) continue;
      if (page.hvPage !== null) this.normal.set(page.hvPage, ZERO);
      page.state = page.hvPage === null ? 'SHARED_INV' : 'SHARED';
      page.contents = null;
    }
    return { code: SUCCESS };
  }

  #shareReturned(
    { gfns, at, tries }: Extract<Operation, { kind: 'share' }>,
    page: ModelPage | undefined,
    result: number,
  ): Answer {
    if (tries > 0) {
      if (page?.state === 'SECURE') return this.#shareFrom(gfns, at);
      if (page?.state !== 'PAGEDOUT' || tries === TRIES) return this.#undoFrom(gfns.slice(0, at), 0);
      return this.#ask({ kind: 'share', gfns, at, tries: tries + 1 }, { gfn: gfns[at], flags: 0 });
    }
    if (page?.state === 'HV_SHARING') page.state = 'SECURE';
    if (page === undefined || page.state === 'SECURE') return this.#undoFrom(gfns.slice(0, at), 0);
    return result === 0 ? this.#shareFrom(gfns, at + 1) : this.#undoFrom(gfns.slice(0, at + 1), 0);
  }

  #undoFrom(gfns: readonly number[], first: number): Answer {
    for (let at = first; at < gfns.length; at++) {
      const page = this.pages.get(gfns[at]);
      if (page === undefined || !page.state.startsWith('HV_SHARED')) continue;
      page.state = 'HV_UNSHARING';
      page.hvPage = null;
      return this.#ask({ kind: 'undo', gfns, at }, { gfn: gfns[at], flags: 0 });
    }
    return { code: P2 };
  }

  #unshareFrom(gfns: readonly number[], first: number): Answer {
    for (let at = first; at < gfns.length; at++) {
      const page = this.pages.get(gfns[at]);
      if (page?.state !== 'SHARED' && page?.state !== 'SHARED_INV') continue;
      page.state = 'HV_UNSHARING';
      page.hvPage = null;
      return this.#ask({ kind: 'unshare', gfns, at }, { gfn: gfns[at], flags: 0 });
    }
    for (const gfn of gfns) if (this.pages.has(gfn)) this.pages.set(gfn, fresh());
    return { code: SUCCESS };
  }

  #ask(operation: Operation, asked: Asked): Answer {
    this.operation = operation;
    return { asked };
  }

  #kill(): 'killed' {
    this.vm = 'DEAD';
    this.operation = null;
    return 'killed';
  }

  #range(first: bigint, count: bigint): number[] | number {
    const has = (gfn: bigint) => this.slots.some((slot) => gfn >= slot.first && gfn < slot.first + slot.count);
    if (!has(first)) return PARAMETER;
    if (count === 0n || count > GPA_LIMIT) return P2;
    const range: number[] = [];
    for (let n = 0n; n < count; n++) {
      if (!has(first + n)) return P2;
      range.push(Number(first + n));
    }
    return range;
  }

  #page(lpid: bigint, gpa: bigint, code: number): ModelPage | number {
    if (!this.#isSvm(lpid)) return PARAMETER;
    if (gpa % BigInt(PAGE) !== 0n || gpa >= GPA_LIMIT) return code;
    return this.pages.get(Number(gpa / BigInt(PAGE))) ?? code;
  }

  #at(gfn: number): ModelPage {
    const page = this.pages.get(gfn);
    if (page === undefined) throw new Error(`no frame ${gfn}`);
    return page;
  }

  #isSvm(lpid: bigint): boolean {
    return lpid < LPIDS && lpid === this.#lpid && this.vm !== 'NORMAL';
  }

  #isNormal(ra: bigint): boolean {
    if (ra === 0n || ra % BigInt(PAGE) !== 0n || (ra & SECURE_BIT) !== 0n) return false;
    return ra + BigInt(PAGE) <= this.#normalBytes;
  }

  #read(ra: number): Uint8Array {
    const bytes = this.normal.get(ra);
    if (bytes === undefined) throw new Error(`the model does not know the page 0x${ra.toString(16)}`);
    return bytes;
  }
}

function fresh(): ModelPage {
  return { state: 'SECURE', contents: ZERO, hvPage: null, ciphertext: null };
}
