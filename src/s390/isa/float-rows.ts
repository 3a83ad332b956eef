import type { Format } from './formats.ts';

/** BFP instructions that `perform-float.ts` does: mnemonic, opcode, format, operands. */
export type FloatRow = readonly [name: string, opcode: string, format: Format, operands: string];

const rows = (format: Format, operands: string, list: string): FloatRow[] =>
  list.split(' ').map((pair) => {
    const [name, opcode] = pair.split(':') as [string, string];
    return [name, opcode, format, operands];
  });

export const FLOAT_ROWS: readonly FloatRow[] = [
  ...rows(
    'RRE',
    '{F1},{F2}',
    'aebr:B30A adbr:B31A axbr:B34A sebr:B30B sdbr:B31B sxbr:B34B meebr:B317 mdbr:B31C mxbr:B34C mdebr:B30C mxdbr:B307 ' +
      'debr:B30D ddbr:B31D dxbr:B34D sqebr:B314 sqdbr:B315 sqxbr:B316 cebr:B309 cdbr:B319 cxbr:B349 kebr:B308 kdbr:B318 kxbr:B348 ' +
      'ltebr:B302 ltdbr:B312 ltxbr:B342 lcebr:B303 lcdbr:B313 lcxbr:B343 lpebr:B300 lpdbr:B310 lpxbr:B340 lnebr:B301 lndbr:B311 lnxbr:B341 ' +
      'ldebr:B304 lxdbr:B305 lxebr:B306 lxr:B365',
  ),
  ...rows('RRE1', '{F1}', 'lzxr:B376'),
  ...rows(
    'RXE',
    '{F1},{X2}',
    'aeb:ED0A adb:ED1A seb:ED0B sdb:ED1B meeb:ED17 mdb:ED1C mdeb:ED0C mxdb:ED07 deb:ED0D ddb:ED1D sqeb:ED14 sqdb:ED15 ' +
      'ceb:ED09 cdb:ED19 keb:ED08 kdb:ED18 ldeb:ED04 lxdb:ED05 lxeb:ED06 tceb:ED10 tcdb:ED11 tcxb:ED12',
  ),
  ...rows('RRD', '{F1},{F3},{F2}', 'maebr:B30E madbr:B31E msebr:B30F msdbr:B31F'),
  ...rows('RXF', '{F1},{F3},{X2}', 'maeb:ED0E madb:ED1E mseb:ED0F msdb:ED1F'),
  ...rows('RRFe', '{F1},{M3},{F2},{M4}', 'ledbr:B344 ldxbr:B345 lexbr:B346 fiebr:B357 fidbr:B35F fixbr:B347'),
  ...rows(
    'RRFe',
    '{F1},{M3},{R2},{M4}',
    'cefbr:B394 cdfbr:B395 cxfbr:B396 cegbr:B3A4 cdgbr:B3A5 cxgbr:B3A6 ' +
      'celfbr:B390 cdlfbr:B391 cxlfbr:B392 celgbr:B3A0 cdlgbr:B3A1 cxlgbr:B3A2',
  ),
  ...rows(
    'RRFe',
    '{R1},{M3},{F2},{M4}',
    'cfebr:B398 cfdbr:B399 cfxbr:B39A cgebr:B3A8 cgdbr:B3A9 cgxbr:B3AA ' +
      'clfebr:B39C clfdbr:B39D clfxbr:B39E clgebr:B3AC clgdbr:B3AD clgxbr:B3AE',
  ),
  ...rows('RRE1', '{R1}', 'sfpc:B384'),
  ...rows('S', '{S2}', 'lfpc:B29D srnm:B299 srnmb:B2B8'),
];
