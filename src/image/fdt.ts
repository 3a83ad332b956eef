/** Flattened device trees: the tree, its values, and the way from and to bytes. */
export { fdtTotalSize, readFdt } from './fdt-reader.ts';
export {
  FDT_MAX_DEPTH,
  FDT_MAX_NAME,
  type Fdt,
  FdtError,
  type FdtNode,
  type FdtReservation,
  fdtNode,
  findNode,
} from './fdt-tree.ts';
export {
  asCells,
  asString,
  asStringList,
  asU32,
  asU64,
  cellsValue,
  stringListValue,
  stringValue,
  u32Value,
  u64Value,
} from './fdt-values.ts';
export { writeFdt } from './fdt-writer.ts';
