import type { Vcpu } from './vm.ts';

/** KVM_S390_PV_COMMAND and its sub-commands (7.2). Data that userspace would point to is here itself. */
export type PvCommand =
  | { readonly name: 'ENABLE' }
  | { readonly name: 'DISABLE' }
  | { readonly name: 'SET_SEC_PARMS'; readonly header: Uint8Array }
  | { readonly name: 'UNPACK'; readonly address: number; readonly size: number; readonly tweak: bigint }
  | { readonly name: 'VERIFY' }
  | { readonly name: 'PREP_RESET' }
  | { readonly name: 'UNSHARE_ALL' }
  | { readonly name: 'DUMP_INIT' }
  | { readonly name: 'DUMP_STORAGE_STATE'; readonly address: number; readonly buffer: Uint8Array }
  | { readonly name: 'DUMP_COMPLETE'; readonly buffer: Uint8Array }
  | { readonly name: 'DUMP_CPU'; readonly vcpu: Vcpu; readonly buffer: Uint8Array };

export type PvCommandName = PvCommand['name'];

/** Numbers of the sub-commands; a dump's are those of DUMP. */
export const PV_COMMAND_NUMBER: Readonly<Record<PvCommandName, number>> = {
  ENABLE: 0,
  DISABLE: 1,
  SET_SEC_PARMS: 2,
  UNPACK: 3,
  VERIFY: 4,
  PREP_RESET: 5,
  UNSHARE_ALL: 6,
  DUMP_INIT: 8,
  DUMP_STORAGE_STATE: 8,
  DUMP_COMPLETE: 8,
  DUMP_CPU: 8,
};
