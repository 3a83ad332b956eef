import { MSR, U_CODE, type UCode, ULTRACALLS, type Ultracall, type UltracallCaller } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { isHypervisor, isSecureGuest, type Outcome, type UvContext } from './context.ts';
import type { Interrupted } from './frame.ts';
import type { Svm } from './svm.ts';
import { uvEsm } from './uv_esm.ts';
import { uvEsmbGetFile } from './uv_esmb_get_file.ts';
import { uvPageIn } from './uv_page_in.ts';
import { uvPageInval } from './uv_page_inval.ts';
import { uvPageOut } from './uv_page_out.ts';
import { uvReadMem } from './uv_read_mem.ts';
import { uvReadScom } from './uv_read_scom.ts';
import { uvRegisterMemSlot } from './uv_register_mem_slot.ts';
import { uvRestrictedSprRead } from './uv_restricted_spr_read.ts';
import { uvRestrictedSprWrite } from './uv_restricted_spr_write.ts';
import { uvReturn } from './uv_return.ts';
import { uvSendSbeCommand } from './uv_send_sbe_command.ts';
import { uvSharePage } from './uv_share_page.ts';
import { uvSvmTerminate } from './uv_svm_terminate.ts';
import { uvUnregisterMemSlot } from './uv_unregister_mem_slot.ts';
import { uvUnshareAllPages } from './uv_unshare_all_pages.ts';
import { uvUnsharePage } from './uv_unshare_page.ts';
import { uvWriteMem } from './uv_write_mem.ts';
import { uvWritePate } from './uv_write_pate.ts';
import { uvWriteScom } from './uv_write_scom.ts';

/**
 * Serves an ultracall whose caller may make it. Arguments are in the registers.
 * @param svm the SVM that called; undefined if normal state did
 */
type Handler = (uv: UvContext, port: RegisterPort, interrupted: Interrupted, svm: Svm | undefined) => Outcome;

const { U_INVALID, U_PERMISSION } = U_CODE;

/** Who serves which call. */
const HANDLERS: Readonly<Record<Ultracall, Handler>> = {
  UV_WRITE_PATE: uvWritePate,
  UV_RESTRICTED_SPR_WRITE: uvRestrictedSprWrite,
  UV_RESTRICTED_SPR_READ: uvRestrictedSprRead,
  UV_ESM: uvEsm,
  UV_READ_SCOM: uvReadScom,
  UV_WRITE_SCOM: uvWriteScom,
  UV_RETURN: uvReturn,
  UV_REGISTER_MEM_SLOT: uvRegisterMemSlot,
  UV_UNREGISTER_MEM_SLOT: uvUnregisterMemSlot,
  UV_PAGE_IN: uvPageIn,
  UV_PAGE_OUT: uvPageOut,
  UV_SHARE_PAGE: uvSharePage,
  UV_UNSHARE_PAGE: uvUnsharePage,
  UV_PAGE_INVAL: uvPageInval,
  UV_SVM_TERMINATE: uvSvmTerminate,
  UV_UNSHARE_ALL_PAGES: uvUnshareAllPages,
  UV_READ_MEM: uvReadMem,
  UV_WRITE_MEM: uvWriteMem,
  UV_ESMB_GET_FILE: uvEsmbGetFile,
  UV_SEND_SBE_COMMAND: uvSendSbeCommand,
};

/** An ultracall with who may make it and who serves it. */
export interface UltracallEntry {
  readonly name: Ultracall;
  readonly caller: UltracallCaller;
  readonly args: readonly string[];
  readonly run: Handler;
}

/** By number; a number that is not here gives U_FUNCTION. */
export const ULTRACALL_TABLE: ReadonlyMap<number, UltracallEntry> = new Map(
  (Object.keys(HANDLERS) as Ultracall[]).map((name) => {
    const { number, caller, args } = ULTRACALLS[name];
    return [number, { name, caller, args, run: HANDLERS[name] }];
  }),
);

/**
 * The code for a caller who may not make the call, or null if it may (3.3). The document has U_INVALID for UV_RETURN and where a normal VM makes
 * an SVM's call; everything else is U_PERMISSION.
 */
export function refuseCaller({ name, caller }: UltracallEntry, msr: bigint): UCode | null {
  const user = (msr & MSR.PR) !== 0n;
  switch (caller) {
    case 'hypervisor':
      if (isHypervisor(msr)) return null;
      return name === 'UV_RETURN' ? U_INVALID : U_PERMISSION;
    case 'guest kernel':
      return user || (msr & MSR.HV) !== 0n ? U_PERMISSION : null;
    case 'svm kernel':
      if (!isSecureGuest(msr)) return U_INVALID;
      return user ? U_PERMISSION : null;
    case 'svm':
      return isSecureGuest(msr) ? null : U_INVALID;
  }
}
