import { ESM, ESM_BYTES, EsmBlobError, type EsmDigests, inTree } from './esm-format.ts';
import { EsmNode } from './esm-nodes.ts';
import { fdtNode, readFdt, stringValue, u32Value, writeFdt } from './fdt.ts';

/** The digests, in the order in which they stand in the tree. */
const DIGESTS = ['rtas', 'kernel', 'initrd', 'bootargs'] as const;

/** The device tree of the digests, which goes encrypted into a blob (power-pef.md 7.2). */
export function writeDigestsTree(digests: EsmDigests): Uint8Array {
  const values = DIGESTS.map((name) => [name, digests[name]] as const);
  for (const [name, value] of values) {
    if (value.length !== ESM_BYTES.DIGEST) throw new RangeError(`the ${name} digest has ${value.length} bytes`);
  }
  const root = fdtNode('', { compatible: stringValue(ESM.COMPATIBLE) }, [
    fdtNode('digests', {
      algorithm: stringValue(ESM.DIGEST_ALGORITHM),
      ...Object.fromEntries(values),
      'kernel-size': u32Value(digests.kernelSize),
    }),
  ]);
  return writeFdt({ root, reservations: [], bootCpuidPhys: 0 });
}

/** Reads what `writeDigestsTree` wrote. @throws EsmBlobError */
export function readDigestsTree(bytes: Uint8Array): EsmDigests {
  const place = '/digest/digests-fdt, decrypted';
  const { root } = inTree(place, () => readFdt(bytes));
  const top = new EsmNode(root, place, { properties: ['compatible'], children: ['digests'] });
  top.expect('compatible', ESM.COMPATIBLE);
  const node = new EsmNode(top.child('digests'), `${place}: /digests`, {
    properties: ['algorithm', ...DIGESTS, 'kernel-size'],
    children: [],
  });
  node.expect('algorithm', ESM.DIGEST_ALGORITHM);
  const [rtas, kernel, initrd, bootargs] = DIGESTS.map((name) => node.bytes(name, ESM_BYTES.DIGEST));
  const kernelSize = node.u32('kernel-size');
  if (kernelSize === 0) throw new EsmBlobError(`${node.path} kernel-size`, 'a kernel of no bytes');
  return { rtas, kernel, kernelSize, initrd, bootargs };
}
