import { hex } from './hex.ts';

/** One node of a device tree. */
export interface FdtNode {
  /** Name with unit address (`memory@0`); empty for the root. */
  readonly name: string;
  /** Values as they stand in the blob, by name, in its order. `fdt-values.ts` makes and reads them. */
  readonly properties: Map<string, Uint8Array>;
  readonly children: FdtNode[];
}

/** A range of physical memory that whoever gets the tree must leave alone. */
export interface FdtReservation {
  readonly address: bigint;
  readonly size: bigint;
}

/** What a flattened device tree says (Devicetree Specification v0.4, chapter 5). */
export interface Fdt {
  readonly root: FdtNode;
  readonly reservations: FdtReservation[];
  /** Physical id of the CPU that boots. */
  readonly bootCpuidPhys: number;
}

/** A device tree that cannot be read, written or used: where, and why. */
export class FdtError extends Error {
  override readonly name = 'FdtError';
  /** Byte offset in the blob; undefined if there is no blob (a tree to be written, a property's value). */
  readonly offset: number | undefined;
  readonly reason: string;

  constructor(reason: string, offset?: number) {
    super(offset === undefined ? `device tree: ${reason}` : `device tree at ${hex(offset)}: ${reason}`);
    this.offset = offset;
    this.reason = reason;
  }
}

/** The deepest nesting that is read or written, the root being 1. It is Linux's own (drivers/of/fdt.c FDT_MAX_DEPTH). */
export const FDT_MAX_DEPTH = 64;

/** The longest node or property name that is read or written, in bytes. */
export const FDT_MAX_NAME = 255;

/** A node with the given properties and children. */
export function fdtNode(
  name: string,
  properties: Readonly<Record<string, Uint8Array>> = {},
  children: readonly FdtNode[] = [],
): FdtNode {
  return { name, properties: new Map(Object.entries(properties)), children: [...children] };
}

/**
 * The node at `path` below `root`, e.g. `/`, `/chosen` or `/cpus/PowerPC,POWER9@0`; undefined if there is none.
 * A part without a unit address also finds a node that has one, the first of several, as libfdt does (`/memory`).
 * Throws `FdtError` for a path that does not begin with a slash.
 */
export function findNode(root: FdtNode, path: string): FdtNode | undefined {
  if (!path.startsWith('/')) throw new FdtError(`path "${path}" does not begin with a slash`);
  let node: FdtNode | undefined = root;
  for (const part of path.split('/')) {
    if (part !== '') node = node?.children.find(({ name }) => name === part || withoutUnitAddress(name) === part);
  }
  return node;
}

function withoutUnitAddress(name: string): string {
  return name.replace(/@.*/, '');
}
