/** WebAssembly value types by their binary encoding (WebAssembly core specification, 5.3.1). */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;

export type I32 = typeof I32;
export type I64 = typeof I64;
export type F32 = typeof F32;
export type F64 = typeof F64;
export type V128 = typeof V128;

/** Any value type that a local, parameter or expression can have. */
export type ValType = I32 | I64 | F32 | F64 | V128;
