import { ByteWriter } from './bytes.ts';
import type { FunctionBuilder } from './function.ts';
import type { ValType } from './types.ts';

const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const FUNCTION_TYPE = 0x60;
const FUNCREF = 0x70;
const LIMITS_MIN = 0;
const LIMITS_MIN_MAX = 1;
const EXTERNAL = { function: 0, table: 1, memory: 2 } as const;
const SECTION = { custom: 0, type: 1, import: 2, function: 3, export: 7, code: 10 } as const;

/** Builds one module: imports first, then functions, then `finish`. */
export class ModuleBuilder {
  readonly #types = new Map<string, number>();
  readonly #typeSection = new ByteWriter();
  readonly #imports = new ByteWriter();
  readonly #exports = new ByteWriter();
  readonly #functions: { type: number; builder: FunctionBuilder }[] = [];
  #importCount = 0;
  #importedFunctions = 0;
  #exportCount = 0;

  /** The index of a function type, made on first use. */
  type(params: readonly ValType[], results: readonly ValType[]): number {
    const key = `${params.join()}>${results.join()}`;
    const known = this.#types.get(key);
    if (known !== undefined) return known;
    const index = this.#types.size;
    this.#types.set(key, index);
    this.#typeSection.byte(FUNCTION_TYPE);
    this.#typeSection.u32(params.length);
    this.#typeSection.append(params);
    this.#typeSection.u32(results.length);
    this.#typeSection.append(results);
    return index;
  }

  /** Imports the one memory; `minimum` and `maximum` count pages of 64 KiB. */
  importMemory(module: string, name: string, minimum: number, maximum: number): void {
    this.#import(module, name, EXTERNAL.memory);
    this.#imports.byte(LIMITS_MIN_MAX);
    this.#imports.u32(minimum);
    this.#imports.u32(maximum);
  }

  /** Imports table 0, of function references. */
  importTable(module: string, name: string): void {
    this.#import(module, name, EXTERNAL.table);
    this.#imports.byte(FUNCREF);
    this.#imports.byte(LIMITS_MIN);
    this.#imports.u32(0);
  }

  /** Imports a function and returns its index. All imports come before the first function of our own. */
  importFunction(module: string, name: string, params: readonly ValType[], results: readonly ValType[]): number {
    if (this.#functions.length > 0) throw new Error(`import of ${name} after the first function`);
    this.#import(module, name, EXTERNAL.function);
    this.#imports.u32(this.type(params, results));
    return this.#importedFunctions++;
  }

  /** Adds a function, exported under `name` if given, and returns its index. */
  function(builder: FunctionBuilder, name?: string): number {
    const index = this.#importedFunctions + this.#functions.length;
    this.#functions.push({ type: this.type(builder.params, builder.results), builder });
    if (name !== undefined) {
      this.#exports.name(name);
      this.#exports.byte(EXTERNAL.function);
      this.#exports.u32(index);
      this.#exportCount++;
    }
    return index;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    out.append(MAGIC_AND_VERSION);
    section(out, SECTION.type, this.#types.size, this.#typeSection);
    section(out, SECTION.import, this.#importCount, this.#imports);

    const declarations = new ByteWriter();
    for (const f of this.#functions) declarations.u32(f.type);
    section(out, SECTION.function, this.#functions.length, declarations);
    section(out, SECTION.export, this.#exportCount, this.#exports);

    const finished = this.#functions.map((f) => f.builder.finish());
    this.#branchHints(
      out,
      finished.map((f) => f.hints),
    );
    const code = new ByteWriter();
    for (const { body } of finished) {
      code.u32(body.length);
      code.append(body);
    }
    section(out, SECTION.code, finished.length, code);
    return out.finish();
  }

  #import(module: string, name: string, kind: number): void {
    this.#imports.name(module);
    this.#imports.name(name);
    this.#imports.byte(kind);
    this.#importCount++;
  }

  #branchHints(out: ByteWriter, perFunction: [number, 0 | 1][][]): void {
    const hinted = perFunction.map((hints, i) => ({ hints, i })).filter((f) => f.hints.length > 0);
    if (hinted.length === 0) return;
    const content = new ByteWriter();
    content.name('metadata.code.branch_hint');
    content.u32(hinted.length);
    for (const { hints, i } of hinted) {
      content.u32(this.#importedFunctions + i);
      content.u32(hints.length);
      for (const [at, likely] of hints) {
        content.u32(at);
        content.u32(1);
        content.byte(likely);
      }
    }
    out.byte(SECTION.custom);
    out.u32(content.length);
    out.append(content.view());
  }
}

function section(out: ByteWriter, id: number, count: number, items: ByteWriter): void {
  const content = new ByteWriter();
  content.u32(count);
  content.append(items.view());
  out.byte(id);
  out.u32(content.length);
  out.append(content.view());
}
