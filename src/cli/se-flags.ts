import { SE_PCF, SE_PCF_DEFAULT, SE_SCF } from '../image/se/format.ts';
import { UsageError } from './exit-status.ts';

/** Switches of `create`, with the names of `pvimg`, and the bits that each means. */
interface Switch {
  readonly option: string;
  readonly mask: bigint;
  readonly secret: boolean;
  readonly help: string;
}

const PCKMO = SE_PCF.PCKMO_DEA_TDEA | SE_PCF.PCKMO_AES | SE_PCF.PCKMO_ECC;

/** Each has an `--enable-` and a `--disable-`. What is on unless asked otherwise is in `SE_PCF_DEFAULT`. */
export const SE_SWITCHES: readonly Switch[] = [
  { option: 'dump', mask: SE_PCF.ALLOW_DUMPING, secret: false, help: 'dumps of the guest; needs --cck' },
  { option: 'pckmo', mask: PCKMO, secret: false, help: 'PCKMO for DEA, TDEA, AES and ECC keys (on)' },
  { option: 'pckmo-hmac', mask: SE_PCF.PCKMO_HMAC, secret: false, help: 'PCKMO for HMAC keys' },
  { option: 'backup-keys', mask: SE_PCF.BACKUP_TARGET_KEYS, secret: false, help: 'backup target keys' },
  {
    option: 'cck-extension-secret',
    mask: SE_SCF.CCK_EXTENSION_SECRET_ENFORCED,
    secret: true,
    help: 'add-secret requests only with the extension secret of the CCK; needs --cck',
  },
  { option: 'cck-update', mask: SE_SCF.CCK_UPDATE_ALLOWED, secret: true, help: 'a new CCK by an add-secret request' },
];
/** Its bit says the opposite. */
const ENCRYPTION = 'image-encryption';

/** What was typed: `enableDump` and the like are true. */
export interface FlagOptions {
  readonly [name: string]: unknown;
  readonly xPcf?: string;
  readonly xScf?: string;
}

/** PCF and SCF. @throws UsageError for switches that contradict each other */
export function flagsOf(options: FlagOptions): { readonly plaintextFlags: bigint; readonly secretFlags: bigint } {
  const state = (option: string): boolean | null => {
    const [enable, disable] = ['enable', 'disable'].map((word) => options[camel(`${word}-${option}`)] === true);
    if (enable && disable) throw new UsageError(`--enable-${option} and --disable-${option}: one of them`);
    return enable ? true : disable ? false : null;
  };
  let flags = {
    plaintext: numberOf('--x-pcf', options.xPcf) ?? SE_PCF_DEFAULT,
    secret: numberOf('--x-scf', options.xScf) ?? 0n,
  };
  const set = (mask: bigint, secret: boolean, on: boolean): void => {
    const name = secret ? 'secret' : 'plaintext';
    flags = { ...flags, [name]: on ? flags[name] | mask : flags[name] & ~mask };
  };
  for (const { option, mask, secret } of SE_SWITCHES) {
    const on = state(option);
    if (on !== null) set(mask, secret, on);
  }
  const encryption = state(ENCRYPTION);
  if (encryption !== null) set(SE_PCF.NO_COMPONENT_ENCRYPTION, false, !encryption);
  return { plaintextFlags: flags.plaintext, secretFlags: flags.secret };
}

function camel(option: string): string {
  return option.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** A number of 64 bits, hexadecimal with or without 0x, as `pvimg` takes it. @throws UsageError */
export function numberOf(option: string, text: string | undefined): bigint | null {
  if (text === undefined) return null;
  const match = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(text);
  if (match === null) throw new UsageError(`${option}: "${text}" is no hexadecimal number of 64 bits`);
  return BigInt(`0x${match[1]}`);
}

const NAMES: readonly (readonly [name: string, mask: bigint])[] = [
  ...Object.entries(SE_PCF).map(([name, mask]) => [name, mask] as const),
];
const SECRET_NAMES: readonly (readonly [name: string, mask: bigint])[] = Object.entries(SE_SCF);

/** The names of the flags that are on; bits without a name in hexadecimal digits. */
export function flagNames(flags: bigint, secret: boolean): string[] {
  const table = secret ? SECRET_NAMES : NAMES;
  const found = table.filter(([, mask]) => (flags & mask) !== 0n);
  const rest = found.reduce((left, [, mask]) => left & ~mask, flags);
  const names = found.map(([name]) => name.toLowerCase().replaceAll('_', '-'));
  return rest === 0n ? names : [...names, `0x${rest.toString(16)}`];
}
