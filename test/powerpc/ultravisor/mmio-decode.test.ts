import { describe, expect, it } from 'vitest';
import { decodeMmio, type MmioInstruction } from '../../../src/powerpc/ultravisor/mmio-decode.ts';

/** What an access of R5 at an address by R7 is; the mnemonic's letters tell it. */
function access(bytes: 1 | 2 | 4 | 8, what: string): MmioInstruction {
  return {
    store: what.startsWith('store'),
    bytes,
    register: 5,
    update: what.includes('update') ? 7 : null,
    signed: what.includes('signed'),
    reversed: what.includes('reversed'),
  };
}

/** Words by GNU as 2.40, -mpower9; meaning by the Power ISA 3.0B, Book I 3.3. */
const WORDS: readonly (readonly [string, number, MmioInstruction | undefined])[] = [
  ['lbz 5,1(7)', 0x88a70001, access(1, 'load')],
  ['lbzu 5,1(7)', 0x8ca70001, access(1, 'load update')],
  ['lhz 5,2(7)', 0xa0a70002, access(2, 'load')],
  ['lhzu 5,2(7)', 0xa4a70002, access(2, 'load update')],
  ['lha 5,2(7)', 0xa8a70002, access(2, 'load signed')],
  ['lhau 5,2(7)', 0xaca70002, access(2, 'load update signed')],
  ['lwz 5,4(7)', 0x80a70004, access(4, 'load')],
  ['lwzu 5,4(7)', 0x84a70004, access(4, 'load update')],
  ['lwa 5,4(7)', 0xe8a70006, access(4, 'load signed')],
  ['ld 5,8(7)', 0xe8a70008, access(8, 'load')],
  ['ldu 5,8(7)', 0xe8a70009, access(8, 'load update')],
  ['stb 5,1(7)', 0x98a70001, access(1, 'store')],
  ['stbu 5,1(7)', 0x9ca70001, access(1, 'store update')],
  ['sth 5,2(7)', 0xb0a70002, access(2, 'store')],
  ['sthu 5,2(7)', 0xb4a70002, access(2, 'store update')],
  ['stw 5,4(7)', 0x90a70004, access(4, 'store')],
  ['stwu 5,4(7)', 0x94a70004, access(4, 'store update')],
  ['std 5,8(7)', 0xf8a70008, access(8, 'store')],
  ['stdu 5,8(7)', 0xf8a70009, access(8, 'store update')],
  ['lbzx 5,7,8', 0x7ca740ae, access(1, 'load')],
  ['lbzux 5,7,8', 0x7ca740ee, access(1, 'load update')],
  ['lhzx 5,7,8', 0x7ca7422e, access(2, 'load')],
  ['lhzux 5,7,8', 0x7ca7426e, access(2, 'load update')],
  ['lhax 5,7,8', 0x7ca742ae, access(2, 'load signed')],
  ['lhaux 5,7,8', 0x7ca742ee, access(2, 'load update signed')],
  ['lwzx 5,7,8', 0x7ca7402e, access(4, 'load')],
  ['lwzux 5,7,8', 0x7ca7406e, access(4, 'load update')],
  ['lwax 5,7,8', 0x7ca742aa, access(4, 'load signed')],
  ['lwaux 5,7,8', 0x7ca742ea, access(4, 'load update signed')],
  ['ldx 5,7,8', 0x7ca7402a, access(8, 'load')],
  ['ldux 5,7,8', 0x7ca7406a, access(8, 'load update')],
  ['stbx 5,7,8', 0x7ca741ae, access(1, 'store')],
  ['stbux 5,7,8', 0x7ca741ee, access(1, 'store update')],
  ['sthx 5,7,8', 0x7ca7432e, access(2, 'store')],
  ['sthux 5,7,8', 0x7ca7436e, access(2, 'store update')],
  ['stwx 5,7,8', 0x7ca7412e, access(4, 'store')],
  ['stwux 5,7,8', 0x7ca7416e, access(4, 'store update')],
  ['stdx 5,7,8', 0x7ca7412a, access(8, 'store')],
  ['stdux 5,7,8', 0x7ca7416a, access(8, 'store update')],
  ['lhbrx 5,7,8', 0x7ca7462c, access(2, 'load reversed')],
  ['lwbrx 5,7,8', 0x7ca7442c, access(4, 'load reversed')],
  ['ldbrx 5,7,8', 0x7ca74428, access(8, 'load reversed')],
  ['sthbrx 5,7,8', 0x7ca7472c, access(2, 'store reversed')],
  ['stwbrx 5,7,8', 0x7ca7452c, access(4, 'store reversed')],
  ['stdbrx 5,7,8', 0x7ca74528, access(8, 'store reversed')],
  ['dcbst 7,8', 0x7c07406c, 'cache'],
  ['dcbf 7,8', 0x7c0740ac, 'cache'],
  ['dcbt 7,8', 0x7c07422c, 'cache'],
  ['dcbtst 7,8', 0x7c0741ec, 'cache'],
  ['dcbz 7,8', 0x7c0747ec, 'cache'],
  ['icbi 7,8', 0x7c0747ac, 'cache'],
  ['lmw 29,4(7)', 0xbba70004, undefined],
  ['lwarx 5,7,8', 0x7ca74028, undefined],
  ['stwcx. 5,7,8', 0x7ca7412d, undefined],
  ['lfd 5,8(7)', 0xc8a70008, undefined],
  ['lq 6,16(7)', 0xe0c70010, undefined],
  ['add 5,7,8', 0x7ca74214, undefined],
  ['lswi 9,7,8', 0x7d2744aa, undefined],
  ['lxvd2x 5,7,8', 0x7ca74698, undefined],
];

describe('decoding a load or store of an SVM outside of its memory (power-pef.md 6.4)', () => {
  it.each(WORDS)('%s', (_, word, meaning) => {
    expect(decodeMmio(word)).toEqual(meaning);
  });

  it.each([
    ['lwzu 5,4(0)', 0x84a00004],
    ['lwzu 5,4(5)', 0x84a50004],
    ['stwu 5,4(0)', 0x94a00004],
    ['ldux 5,5,8', 0x7ca5406a],
  ])('%s is invalid by the ISA, and none', (_, word) => {
    expect(decodeMmio(word)).toBeUndefined();
  });

  it('stwu 5,4(5) is valid: a store may update what it stores', () => {
    expect(decodeMmio(0x94a50004)).toMatchObject({ store: true, register: 5, update: 5 });
  });
});
