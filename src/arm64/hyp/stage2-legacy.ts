import { ERRNO, type Errno } from '../abi.ts';
import { type WalkEntry, walk } from './pgtable-walk.ts';
import { type PageSource, pageOf, putEntry, type Stage2 } from './stage2.ts';
import {
  addressOf,
  granuleOf,
  isBlockSupported,
  isCounted,
  LAST_LEVEL,
  leafAttributes,
  leafPte,
  needsUpdate,
  OWNER_ANNOTATION,
  ownerAnnotation,
  tablePte,
} from './stage2-format.ts';

/**
 * Map and set_owner as seed 004 has them (2.10), for profile L. The output address advances along the walk, an owner may be written at block level,
 * and a block that is split loses what lies outside the walk: an owner too. That is a defect of the form; later code writes owners into pages only.
 */
interface MapData {
  readonly cache: PageSource | null;
  readonly attributes: bigint;
  readonly owner: number;
  /** Next output address; null while an owner is set: it must not advance. */
  physical: number | null;
  /** The entry whose whole table becomes one leaf, and that table. */
  anchor: { readonly at: number; readonly child: number } | null;
}

/** kvm_pgtable_stage2_map. @returns as `map` of `stage2-map.ts` */
export function legacyMap(
  table: Stage2,
  address: number,
  size: number,
  physical: number,
  prot: bigint,
  cache: PageSource | null,
): Errno {
  const attributes = leafAttributes(prot);
  if (attributes === ERRNO.EINVAL) return ERRNO.EINVAL;
  const first = Math.floor(physical / 4096) * 4096;
  return run(table, address, size, {
    cache,
    attributes: attributes as bigint,
    owner: 0,
    physical: first,
    anchor: null,
  });
}

/**
 * kvm_pgtable_stage2_set_owner: writes an owner into a range. 0 is the owner of the table itself.
 * @returns −EINVAL for an owner above 1, −ENOMEM where tables are missing and the cache is empty, −ERANGE
 */
export function setOwner(table: Stage2, address: number, size: number, cache: PageSource | null, owner: number): Errno {
  if (owner > OWNER_ANNOTATION.maxOwner) return ERRNO.EINVAL;
  return run(table, address, size, { cache, attributes: 0n, owner, physical: null, anchor: null });
}

function run(table: Stage2, address: number, size: number, data: MapData): Errno {
  return walk(table, address, size, {
    visits: ['table-pre', 'leaf', 'table-post'],
    reloadsBehindPre: false,
    visitor(entry) {
      switch (entry.visit) {
        case 'table-pre':
          return tablePre(table, entry, data);
        case 'leaf':
          return leaf(table, entry, data);
        case 'table-post':
          return tablePost(table, entry, data);
      }
    },
  });
}

function tablePre(table: Stage2, entry: WalkEntry, data: MapData): Errno {
  if (data.anchor !== null) return 0;
  if (!isBlockSupported(entry.address, entry.end, data.physical, entry.level)) return 0;
  data.anchor = { at: entry.at, child: addressOf(entry.old) };
  table.entries.write(entry.at, 0n);
  // There may be many leaves below: all of them at once.
  table.flush.all();
  return 0;
}

function leaf(table: Stage2, entry: WalkEntry, data: MapData): Errno {
  const { memory, entries } = table;
  if (data.anchor !== null) {
    if (isCounted(entry.old)) memory.put(pageOf(entry.at));
    return 0;
  }
  const error = tryLeaf(table, entry, data);
  if (error !== ERRNO.E2BIG) return error;
  if (entry.level === LAST_LEVEL) return ERRNO.EINVAL;
  if (data.cache === null) return ERRNO.ENOMEM;
  const child = memory.allocate(data.cache);
  if (child === null) return ERRNO.ENOMEM;
  if (isCounted(entry.old)) putEntry(table, entry);
  entries.write(entry.at, tablePte(child));
  memory.get(pageOf(entry.at));
  return 0;
}

function tryLeaf(table: Stage2, entry: WalkEntry, data: MapData): Errno {
  const { physical } = data;
  if (!isBlockSupported(entry.address, entry.end, physical, entry.level)) return ERRNO.E2BIG;
  const next = physical === null ? ownerAnnotation(data.owner) : leafPte(physical, data.attributes, entry.level);
  if (isCounted(entry.old)) {
    if (!needsUpdate(entry.old, next)) return ERRNO.EAGAIN;
    putEntry(table, entry);
  }
  table.entries.write(entry.at, next);
  if (isCounted(next)) table.memory.get(pageOf(entry.at));
  if (physical !== null) data.physical = physical + granuleOf(entry.level);
  return 0;
}

function tablePost(table: Stage2, entry: WalkEntry, data: MapData): Errno {
  const { anchor } = data;
  if (anchor === null) return 0;
  const { memory } = table;
  if (anchor.at !== entry.at) {
    memory.put(addressOf(entry.old));
    memory.put(pageOf(entry.at));
    return 0;
  }
  data.anchor = null;
  const error = leaf(table, { ...entry, old: table.entries.read(entry.at) }, data);
  memory.put(anchor.child);
  memory.put(pageOf(entry.at));
  return error;
}
