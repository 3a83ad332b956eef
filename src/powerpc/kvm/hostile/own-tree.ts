import type { RealAddress } from '../../../machine/types.ts';
import { type Gfn, gpaOf, packRadixRoot, RADIX_52_ROOT_BITS, RADIX_52_RTS, RADIX_ROOT } from '../../abi.ts';
import { NO_PAGE } from '../memslot.ts';
import { createTree, mapPage, type PartitionTree } from '../radix.ts';
import type { Toolbox } from './toolbox.ts';

/**
 * A partition-scoped tree of the attacker's own, with every page that KVM knows of the victim and one of the attacker's in the place of the
 * target.
 * @returns dw0 of a partition table entry with it
 */
export function ownTree(hv: Toolbox): bigint {
  const { kvm, victim, target } = hv;
  const tree = createTree(kvm.pages);
  if (tree === undefined) throw new RangeError('the hostile hypervisor has no page left for a tree');
  for (const { baseGfn, npages, pages } of victim.slots) {
    for (let i = 0; i < npages; i++) {
      const gfn = (baseGfn + i) as Gfn;
      if (pages[i] !== NO_PAGE && gfn !== target) map(hv, tree, gfn, pages[i] as RealAddress);
    }
  }
  map(hv, tree, target, hv.ownPage(0x55));
  return RADIX_ROOT.HR | packRadixRoot({ base: BigInt(tree.root), rootBits: RADIX_52_ROOT_BITS, rts: RADIX_52_RTS });
}

function map({ kvm }: Toolbox, tree: PartitionTree, gfn: Gfn, page: RealAddress): void {
  if (!mapPage(tree, kvm.view, kvm.pages, gpaOf(gfn), page, 'write')) throw new RangeError('no memory left for a tree');
}
