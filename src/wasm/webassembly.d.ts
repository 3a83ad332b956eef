/**
 * The part of the WebAssembly JavaScript API that Cloister uses, because TypeScript declares it only in its DOM library
 * (and @types/node 20 not at all), and the DOM library would let browser-only names into code that also runs in Node.
 *
 * Source: WebAssembly JavaScript Interface, https://webassembly.github.io/spec/js-api/
 */
declare namespace WebAssembly {
  /** An i64 parameter or result is a bigint, i32, f32 and f64 are numbers. */
  type ExportedFunction = (...args: never[]) => unknown;
  type ExternalValue = ExportedFunction | Memory | Table | Global;
  type ExternalKind = 'function' | 'global' | 'memory' | 'table' | 'tag';
  type ValueType = 'i32' | 'i64' | 'f32' | 'f64';
  type Bytes = ArrayBuffer | Uint8Array<ArrayBuffer>;
  type Exports = Record<string, ExternalValue>;
  type Imports = Record<string, Record<string, ExternalValue | number | bigint>>;

  interface Memory {
    /** Detached by every `grow` of an unshared memory: views must be made anew. */
    readonly buffer: ArrayBuffer;
    /** @param delta in pages of 64 KiB @returns the size before, in pages @throws RangeError beyond the maximum */
    grow(delta: number): number;
  }
  /** Sizes in pages of 64 KiB. */
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
    shared?: boolean;
  }
  var Memory: { prototype: Memory; new (descriptor: MemoryDescriptor): Memory };

  interface Table {
    readonly length: number;
    get(index: number): ExportedFunction | null;
    /** @param value an exported WebAssembly function; any other function is a TypeError */
    set(index: number, value: ExportedFunction | null): void;
    /** @returns the length before @throws RangeError beyond the maximum */
    grow(delta: number, value?: ExportedFunction | null): number;
  }
  /** Sizes in elements. */
  interface TableDescriptor {
    element: 'anyfunc';
    initial: number;
    maximum?: number;
  }
  var Table: { prototype: Table; new (descriptor: TableDescriptor, value?: ExportedFunction | null): Table };

  interface Global {
    value: number | bigint;
  }
  interface GlobalDescriptor {
    value: ValueType;
    mutable?: boolean;
  }
  var Global: { prototype: Global; new (descriptor: GlobalDescriptor, value?: number | bigint): Global };

  /** Structurally empty in the API; the brand keeps other objects from passing for one. */
  interface Module {
    readonly [Symbol.toStringTag]: 'WebAssembly.Module';
  }
  var Module: {
    prototype: Module;
    /** @throws CompileError on bytes that do not validate */
    new (bytes: Bytes): Module;
    customSections(module: Module, sectionName: string): ArrayBuffer[];
    exports(module: Module): { name: string; kind: ExternalKind }[];
    imports(module: Module): { module: string; name: string; kind: ExternalKind }[];
  };

  interface Instance {
    readonly exports: Exports;
  }
  /** Instantiation throws LinkError on imports of the wrong kind and RuntimeError when the start function traps. */
  var Instance: { prototype: Instance; new (module: Module, imports?: Imports): Instance };

  interface CompileError extends Error {}
  interface LinkError extends Error {}
  interface RuntimeError extends Error {}
  interface ErrorClass<E extends Error> {
    prototype: E;
    new (message?: string): E;
  }
  var CompileError: ErrorClass<CompileError>;
  var LinkError: ErrorClass<LinkError>;
  var RuntimeError: ErrorClass<RuntimeError>;

  function validate(bytes: Bytes): boolean;
  function compile(bytes: Bytes): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
}
