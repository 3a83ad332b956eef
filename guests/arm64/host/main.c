/*
 * A host for pKVM in machine code: it installs the hyp, gives it memory and gives up its own rights, then makes a VM of the ELF file that the device tree names
 * as its initrd, and runs it. With the command line `1` the VM is a plain one. On the way it tries what it must not be able to do.
 */
#include "pkvm.h"

extern char bss_end[], host_vectors[];
volatile u64 abort_syndrome;

static u64 next_page, memory_end;
static struct vm vm;

void *allocate(u64 pages)
{
	u64 at = next_page;
	next_page += pages * PAGE_BYTES;
	if (next_page > memory_end) {
		put("out of memory\n");
		power_off();
	}
	memset((void *)at, 0, pages * PAGE_BYTES);
	return (void *)at;
}

int can_read(u64 at)
{
	abort_syndrome = 0;
	u64 value;
	asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
	return abort_syndrome == 0;
}

int can_write(u64 at)
{
	abort_syndrome = 0;
	asm volatile("str xzr, [%0]" : : "r"(at) : "memory");
	return abort_syndrome == 0;
}

static void try_access(const char *what, u64 at)
{
	put(what);
	put(can_read(at) ? ": read" : ": not read");
	put(can_write(at) ? ", written\n" : ", not written\n");
}

static void expect(const char *what, s64 result)
{
	put(what);
	if (result == NO_SUCH_CALL) {
		put(": no such call\n");
		return;
	}
	say(result < 0 ? ": -" : ": ", result < 0 ? -result : result);
}

/* Phases of the hyp's life (4.2), and what each does not know yet or any more. */
static void *start_hyp(void)
{
	u64 pool_pages = (memory_end - GUEST_BASE) / 256 / PAGE_BYTES + 1024;
	void *pool = allocate(pool_pages);
	expect("init before the hyp is there", hypercall(PKVM_INIT, (u64)pool, pool_pages * PAGE_BYTES, 0, 48));
	expect("hyp init", hypercall(KVM_HYP_INIT, 0, 0, 0, 0));
	expect("share before finalise", hypercall(PKVM_HOST_SHARE_HYP, next_page / PAGE_BYTES, 0, 0, 0));
	expect("finalise before init", hypercall(PKVM_PROT_FINALIZE, 0, 0, 0, 0));
	expect("init", hypercall(PKVM_INIT, (u64)pool, pool_pages * PAGE_BYTES, 0, 48));
	expect("finalise", hypercall(PKVM_PROT_FINALIZE, 0, 0, 0, 0));
	expect("finalise again", hypercall(PKVM_PROT_FINALIZE, 0, 0, 0, 0));
	expect("init after finalise", hypercall(PKVM_INIT, (u64)pool, pool_pages * PAGE_BYTES, 0, 48));
	return pool;
}

static void share_a_page(void)
{
	u64 pfn = (u64)allocate(1) / PAGE_BYTES;
	expect("share", hypercall(PKVM_HOST_SHARE_HYP, pfn, 0, 0, 0));
	expect("share again", hypercall(PKVM_HOST_SHARE_HYP, pfn, 0, 0, 0));
	try_access("a shared page", pfn * PAGE_BYTES);
	expect("unshare", hypercall(PKVM_HOST_UNSHARE_HYP, pfn, 0, 0, 0));
	expect("unshare again", hypercall(PKVM_HOST_UNSHARE_HYP, pfn, 0, 0, 0));
}

static void run_vm(const u8 *elf, u64 bytes)
{
	vm.memory = allocate(GUEST_PAGES);
	if (!load_guest(&vm, elf, bytes)) {
		put("the initrd is no ELF file for a guest\n");
		return;
	}
	s64 error = create_vm(&vm);
	if (error) {
		say("no VM: error ", -error);
		return;
	}
	hypercall(PKVM_VCPU_LOAD, vm.handle, 0, HCR_TWI | HCR_TWE, 0);
	put(vm.protected ? "a protected VM runs\n" : "a plain VM runs\n");
	const char *reason = run_guest(&vm);
	put("the guest stopped: ");
	put(reason);
	put("\n");
	u64 code = (u64)vm.memory + (vm.entry & -PAGE_BYTES) - GUEST_BASE;
	expect("give a page of the guest's away",
	       hypercall(vm.protected ? PKVM_HOST_DONATE_GUEST : PKVM_HOST_SHARE_HYP, code / PAGE_BYTES, 0x50000, 0, 0));
	try_access("the guest's code", code);
	tear_down(&vm);
	try_access("the guest's code afterwards", code);
}

void guest_main(void)
{
	u32 bytes;
	write_register(vbar_el1, (u64)host_vectors);
	const u8 *range = tree_property("memory@", "reg", &bytes);
	const u8 *start = tree_property("chosen", "linux,initrd-start", &bytes);
	u64 from = start ? tree_number(start, bytes) : 0;
	const u8 *end = tree_property("chosen", "linux,initrd-end", &bytes);
	u64 to = end ? tree_number(end, bytes) : 0;
	memory_end = tree_number(range, 8) + tree_number(range + 8, 8);
	/* The initrd lies in the middle of memory, or behind us. */
	u64 used = to > (u64)bss_end ? to : (u64)bss_end;
	next_page = (used + (1ul << 21) - 1) & -(1ul << 21);
	vm.protected = command_line_number(0) == 0;
	void *pool = start_hyp();
	try_access("the hyp's memory", (u64)pool);
	share_a_page();
	if (from)
		run_vm((const u8 *)from, to - from);
	else
		put("no initrd, no guest\n");
}
