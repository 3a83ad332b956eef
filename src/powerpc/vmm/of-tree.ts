import { asU32, type FdtNode, findNode, u32Value } from '../../image/fdt.ts';

/** QEMU's first phandle of a node that has none: its interrupt controller has the one before. */
const FIRST_PHANDLE = 0x1112;

/** A device tree whose nodes have phandles, as Open Firmware shows it. */
export class OfTree {
  readonly root: FdtNode;
  #next = FIRST_PHANDLE;
  readonly #byPhandle = new Map<number, FdtNode>();
  readonly #phandles = new Map<FdtNode, number>();
  readonly #parents = new Map<FdtNode, FdtNode>();

  /** Gives each node of the tree that has none a phandle, in order, and adds it as a property. */
  constructor(root: FdtNode) {
    this.root = root;
    this.#add(root);
  }

  /** The node at a path, of whose unit addresses upper-case digits count as lower-case ones; undefined if there is none. */
  find(path: string): FdtNode | undefined {
    if (!path.startsWith('/')) return undefined;
    return findNode(
      this.root,
      path.replace(/@[^/]*/g, (unit) => unit.toLowerCase()),
    );
  }

  node(phandle: number): FdtNode | undefined {
    return this.#byPhandle.get(phandle);
  }

  /** 0 for no node. */
  phandle(node: FdtNode | undefined): number {
    return (node === undefined ? undefined : this.#phandles.get(node)) ?? 0;
  }

  parent(node: FdtNode | undefined): FdtNode | undefined {
    return node === undefined ? undefined : this.#parents.get(node);
  }

  /** The node after this one among the children of its parent. */
  peer(node: FdtNode | undefined): FdtNode | undefined {
    const siblings = this.parent(node)?.children ?? [];
    const at = node === undefined ? -1 : siblings.indexOf(node);
    return at < 0 ? undefined : siblings[at + 1];
  }

  /** The full path of a node. */
  path(node: FdtNode): string {
    const parent = this.parent(node);
    if (parent === undefined) return '/';
    return parent === this.root ? `/${node.name}` : `${this.path(parent)}/${node.name}`;
  }

  #add(node: FdtNode): void {
    const given = node.properties.get('phandle');
    const phandle = given === undefined ? this.#next++ : asU32(given);
    this.#byPhandle.set(phandle, node);
    this.#phandles.set(node, phandle);
    if (given === undefined) node.properties.set('phandle', u32Value(phandle));
    for (const child of node.children) {
      this.#parents.set(child, node);
      this.#add(child);
    }
  }
}
