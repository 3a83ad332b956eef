/* From a normal VM to a secure one. */
#include "lib.h"

s64 become_secure(void)
{
  if (!is_secure()) {
    instantiate_rtas();
    flatten_tree();
    install_interrupts(0);
    /* Success does not come back here, it enters the guest at its start. */
    return ultracall(UV_ESM, boot.base, boot.tree);
  }
  install_interrupts(0);
  return U_SUCCESS;
}
