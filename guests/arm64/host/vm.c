/* The life of a VM (arm64-pkvm.md 8.2, 8.3, 8.6). */
#include "pkvm.h"

#define PFN(address) ((u64)(address) / PAGE_BYTES)

struct elf_header {
	u32 magic;
	u8 rest[20];
	u64 entry, headers;
	u8 more[14];
	u16 header_bytes, count;
};

struct program_header {
	u32 type, flags;
	u64 offset, virtual, physical, in_file, in_memory, alignment;
};

int load_guest(struct vm *vm, const u8 *elf, u64 bytes)
{
	const struct elf_header *header = (const void *)elf;
	if (bytes < sizeof *header || header->magic != 0x464c457f)
		return 0;
	vm->entry = header->entry;
	for (u32 i = 0; i < header->count; i++) {
		const struct program_header *segment = (const void *)(elf + header->headers + i * header->header_bytes);
		u64 at = segment->physical - GUEST_BASE;
		if (segment->type != 1 || !segment->in_memory)
			continue;
		if (at >= GUEST_BYTES || segment->in_memory > GUEST_BYTES - at || segment->offset + segment->in_file > bytes)
			return 0;
		memcpy(vm->memory + at, elf + segment->offset, segment->in_file);
	}
	return 1;
}

/* Lets the hyp look at a structure. */
static s64 share(const u8 *structure, u64 bytes)
{
	for (u64 at = 0; at < bytes; at += PAGE_BYTES) {
		s64 error = hypercall(PKVM_HOST_SHARE_HYP, PFN(structure + at), 0, 0, 0);
		if (error)
			return error;
	}
	return 0;
}

static void *give(struct vm *vm, u64 pages)
{
	vm->given += pages;
	return allocate(pages);
}

s64 create_vm(struct vm *vm)
{
	s64 handle = hypercall(PKVM_RESERVE_VM, 0, 0, 0, 0);
	if (handle < 0)
		return handle;
	vm->handle = handle;
	vm->kvm = allocate(KVM_BYTES / PAGE_BYTES);
	vm->vcpu = allocate(VCPU_BYTES / PAGE_BYTES);
	*field(vm->kvm, KVM_HANDLE) = handle;
	*field(vm->kvm, KVM_CREATED_VCPUS) = 1;
	*field(vm->kvm, KVM_IS_PROTECTED) = vm->protected;
	*field(vm->vcpu, VCPU_PC) = vm->entry;
	*field(vm->vcpu, VCPU_PSTATE) = RESET_PSTATE;
	*field(vm->vcpu, VCPU_SCTLR_EL1) = RESET_SCTLR;
	*field(vm->vcpu, VCPU_HCR) = HCR_TWI | HCR_TWE;
	*field(vm->vcpu, VCPU_FLAGS) = 1;
	s64 error = share(vm->kvm, KVM_BYTES);
	if (!error)
		error = share(vm->vcpu, VCPU_BYTES);
	if (!error) {
		void *area = give(vm, HYP_VM_PAGES), *root = give(vm, HYP_ROOT_PAGES);
		error = hypercall(PKVM_INIT_VM, (u64)vm->kvm, (u64)area, (u64)root, 0);
	}
	if (!error)
		error = hypercall(PKVM_INIT_VCPU, handle, (u64)vm->vcpu, (u64)give(vm, HYP_VCPU_PAGES), 0);
	return error;
}

/* Lays pages ready for the guest's tables: each begins with the address of the next. */
static void top_up(struct vm *vm)
{
	u64 *cache = field(vm->vcpu, VCPU_MEMCACHE);
	while (cache[1] < MEMCACHE_LEAST) {
		u64 *page = give(vm, 1);
		*page = cache[0];
		cache[0] = (u64)page;
		cache[1]++;
	}
}

s64 map_frame(struct vm *vm, u64 gfn)
{
	u64 pfn = PFN(vm->memory) + gfn, ipfn = PFN(GUEST_BASE) + gfn;
	top_up(vm);
	s64 error = vm->protected ? hypercall(PKVM_HOST_DONATE_GUEST, pfn, ipfn, 0, 0)
				  : hypercall(PKVM_HOST_SHARE_GUEST, pfn, ipfn, 1, PROT_RWX);
	if (!error) {
		vm->mapped[gfn] = 1;
		vm->frames++;
	}
	return error;
}

/* Pages that the hyp gave back, in a list as it makes one. */
static u64 take_back(u64 *list)
{
	u64 pages = 0;
	for (u64 at = list[0]; pages < list[1]; pages++)
		at = *(u64 *)at;
	return pages;
}

static int is_zero(const u64 *page)
{
	for (u64 i = 0; i < PAGE_BYTES / sizeof *page; i++)
		if (page[i])
			return 0;
	return 1;
}

static s64 reclaim(struct vm *vm, u64 gfn)
{
	return vm->protected ? hypercall(PKVM_RECLAIM_DYING_GUEST_PAGE, vm->handle, PFN(GUEST_BASE) + gfn, 0, 0)
			     : hypercall(PKVM_HOST_UNSHARE_GUEST, vm->handle, PFN(GUEST_BASE) + gfn, 1, 0);
}

void tear_down(struct vm *vm)
{
	if (vm->protected) {
		put("reclaim before teardown ");
		put(reclaim(vm, 0) < 0 ? "is refused\n" : "is done\n");
	}
	put("teardown while loaded ");
	put(hypercall(PKVM_START_TEARDOWN_VM, vm->handle, 0, 0, 0) < 0 ? "is refused\n" : "is done\n");
	hypercall(PKVM_VCPU_PUT, 0, 0, 0, 0);
	s64 error = hypercall(PKVM_START_TEARDOWN_VM, vm->handle, 0, 0, 0);
	u64 back = 0, zero = 0;
	for (u64 gfn = 0; gfn < GUEST_PAGES && !error; gfn++) {
		if (!vm->mapped[gfn])
			continue;
		error = reclaim(vm, gfn);
		back++;
		zero += is_zero((u64 *)(vm->memory + gfn * PAGE_BYTES));
	}
	if (!error)
		error = hypercall(PKVM_FINALIZE_TEARDOWN_VM, vm->handle, 0, 0, 0);
	if (error) {
		say("teardown: error ", -error);
		return;
	}
	say("frames given ", vm->frames);
	say("frames back ", back);
	say("frames of zeros ", zero);
	say("pages given to the hyp ", vm->given);
	u64 lists = take_back(field(vm->kvm, KVM_TEARDOWN)) + take_back(field(vm->kvm, KVM_STAGE2_TEARDOWN));
	say("pages back from the hyp ", lists + take_back(field(vm->vcpu, VCPU_MEMCACHE)));
	for (u64 at = 0; at < VCPU_BYTES && !error; at += PAGE_BYTES)
		error = hypercall(PKVM_HOST_UNSHARE_HYP, PFN(vm->vcpu + at), 0, 0, 0);
	if (!error)
		error = hypercall(PKVM_HOST_UNSHARE_HYP, PFN(vm->kvm), 0, 0, 0);
	put(error ? "the structures stay shared\n" : "the structures are the host's own\n");
}
