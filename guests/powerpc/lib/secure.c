/* From a normal VM to a secure one. */
#include "lib.h"

void become_secure(void)
{
  if (!is_secure()) {
    instantiate_rtas();
    flatten_tree();
    install_interrupts(0);
    ultracall(UV_ESM, boot.base, boot.tree);
    /* Success does not come back here, it enters the guest at its start. */
  } else {
    install_interrupts(0);
  }
}
