/* Exits of the guest (arm64-pkvm.md 6.4, 6.6). Of a protected one the host sees in x0 what concerns it; of others it has all registers. */
#include "pkvm.h"

/* A guest that waits this often in a row has nothing to wait for: there are no interrupts here. */
#define MOST_WAITS 1000

/* The register of a load or store; x0 where the hyp does not say which, and 0 for none. */
static u64 *transferred(struct vm *vm, u64 esr)
{
	return ESR_SRT(esr) == 31 ? 0 : field(vm->vcpu, 8 * ESR_SRT(esr));
}

/* The console is passed on; all else of the machine reads as zero. */
static void device(struct vm *vm, u64 esr, u64 ipa)
{
	u64 *x = transferred(vm, esr);
	if (!(esr & ESR_WNR)) {
		if (x)
			*x = 0;
	} else if (ipa == UART_BASE + UART_DR) {
		char text[2] = {x ? *x : 0, 0};
		put(text);
	}
	*field(vm->vcpu, VCPU_IFLAGS) = IFLAG_INCREMENT_PC;
}

/* Gives a reason to stop, or 0. */
static const char *handle_abort(struct vm *vm, u64 esr)
{
	u64 page = (*field(vm->vcpu, VCPU_HPFAR) >> 4 & 0xfffffffffful) * PAGE_BYTES;
	u64 gfn = (page - GUEST_BASE) / PAGE_BYTES;
	if (page >= GUEST_BASE && gfn < GUEST_PAGES)
		return vm->mapped[gfn] ? "it faults on a frame that it has" : map_frame(vm, gfn) ? "a frame was refused" : 0;
	if (ESR_EC(esr) != EC_DATA_ABORT || !(esr & ESR_ISV))
		return "it touched what is not there";
	device(vm, esr, page | (*field(vm->vcpu, VCPU_FAR) & (PAGE_BYTES - 1)));
	return 0;
}

static const char *handle_trap(struct vm *vm, u64 *waits)
{
	u64 esr = *field(vm->vcpu, VCPU_ESR);
	u64 *x0 = field(vm->vcpu, 0);
	switch (ESR_EC(esr)) {
	case EC_WFX:
		*field(vm->vcpu, VCPU_IFLAGS) = IFLAG_INCREMENT_PC;
		return ++*waits > MOST_WAITS ? "it waits for ever" : 0;
	case EC_HVC64:
		if ((u32)*x0 == PSCI_SYSTEM_OFF)
			return "it powered off";
		*x0 = -1;
		return 0;
	case EC_INSTRUCTION_ABORT:
	case EC_DATA_ABORT:
		*waits = 0;
		return handle_abort(vm, esr);
	default:
		return "an exit that this host does not know";
	}
}

const char *run_guest(struct vm *vm)
{
	u64 waits = 0;
	const char *reason = 0;
	while (!reason) {
		s64 code = hypercall(KVM_VCPU_RUN, (u64)vm->vcpu, 0, 0, 0);
		if (code == EXIT_TRAP)
			reason = handle_trap(vm, &waits);
		else if (code != EXIT_IRQ)
			reason = "it cannot run";
	}
	return reason;
}
