import { EsmBlobError, inTree } from './esm-format.ts';
import { asString, asU32, type FdtNode } from './fdt.ts';

/** What a node of a blob must hold; anything else in it is refused, as svm-tools refuse it. */
export interface NodeShape {
  readonly properties: readonly string[];
  readonly optional?: readonly string[];
  readonly children?: readonly string[];
}

/** A node of a blob with exactly what its kind has. */
export class EsmNode {
  readonly path: string;
  readonly #node: FdtNode;

  /** @throws EsmBlobError if something is missing, or there is more than `shape` allows */
  constructor(node: FdtNode, path: string, { properties, optional = [], children }: NodeShape) {
    this.path = path;
    this.#node = node;
    for (const name of properties) {
      if (!node.properties.has(name)) throw new EsmBlobError(path, `no property ${name}`);
    }
    for (const name of node.properties.keys()) {
      if (!properties.includes(name) && !optional.includes(name)) {
        throw new EsmBlobError(path, `unknown property ${name}`);
      }
    }
    if (children === undefined) return;
    for (const name of children) this.child(name);
    const unknown = node.children.find(({ name }) => !children.includes(name));
    if (unknown !== undefined) throw new EsmBlobError(path, `unknown node ${unknown.name}`);
  }

  get children(): readonly FdtNode[] {
    return this.#node.children;
  }

  has(property: string): boolean {
    return this.#node.properties.has(property);
  }

  /** @throws EsmBlobError if there is none */
  child(name: string): FdtNode {
    const found = this.#node.children.find((child) => child.name === name);
    if (found === undefined) throw new EsmBlobError(this.path, `no node ${name}`);
    return found;
  }

  pathOf(child: string): string {
    return this.path === '/' ? `/${child}` : `${this.path}/${child}`;
  }

  /** A property's bytes: from `least` to `most` of them. */
  bytes(property: string, least: number, most = least): Uint8Array {
    const value = this.#value(property);
    if (value.length < least || value.length > most) {
      const allowed = least === most ? `${least}` : `${least} to ${most}`;
      throw new EsmBlobError(`${this.path} ${property}`, `${value.length} bytes instead of ${allowed}`);
    }
    return value;
  }

  u32(property: string): number {
    return inTree(`${this.path} ${property}`, () => asU32(this.#value(property)));
  }

  string(property: string): string {
    return inTree(`${this.path} ${property}`, () => asString(this.#value(property)));
  }

  /** Checks that a property is this string. */
  expect(property: string, text: string): void {
    const found = this.string(property);
    if (found !== text) {
      throw new EsmBlobError(`${this.path} ${property}`, `${JSON.stringify(found)} instead of "${text}"`);
    }
  }

  #value(property: string): Uint8Array {
    const value = this.#node.properties.get(property);
    if (value === undefined) throw new EsmBlobError(this.path, `no property ${property}`);
    return value;
  }
}
