/** Numbers of the flattened device tree format (Devicetree Specification v0.4, chapter 5). All its fields are big-endian. */
export const FDT_MAGIC = 0xd00dfeed;
export const FDT_VERSION = 17;
/** The oldest version that software for version 17 can read, and what Linux's prom_init still writes. */
export const FDT_COMPATIBLE_VERSION = 16;

export const FDT_BEGIN_NODE = 1;
export const FDT_END_NODE = 2;
export const FDT_PROP = 3;
export const FDT_NOP = 4;
export const FDT_END = 9;

/** Bytes in a header of version 17; version 16 ends before size_dt_struct. */
export const FDT_HEADER_SIZE = 40;
export const FDT_HEADER_SIZE_16 = 36;

/** Whether a node or property may have this name: printable ASCII without a slash. */
export function isFdtName(name: string): boolean {
  return /^[!-.0-~]*$/.test(name);
}
