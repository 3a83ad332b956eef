/*
 * The host's side of pKVM's ABI (arm64-pkvm.md 4.3, 6.1, 6.2; src/arm64/abi.ts): numbers of hypercalls, and where the hyp looks in the host's structures.
 */
#pragma once
#include "lib.h"

#define PAGE_BYTES 4096ul

enum hypercall {
	KVM_HYP_INIT = 0,
	PKVM_INIT = 1,
	PKVM_PROT_FINALIZE = 7,
	KVM_VCPU_RUN = 9,
	PKVM_HOST_SHARE_HYP = 29,
	PKVM_HOST_UNSHARE_HYP = 30,
	PKVM_HOST_DONATE_GUEST = 31,
	PKVM_HOST_SHARE_GUEST = 32,
	PKVM_HOST_UNSHARE_GUEST = 33,
	PKVM_RESERVE_VM = 38,
	PKVM_INIT_VM = 40,
	PKVM_INIT_VCPU = 41,
	PKVM_RECLAIM_DYING_GUEST_PAGE = 44,
	PKVM_START_TEARDOWN_VM = 45,
	PKVM_FINALIZE_TEARDOWN_VM = 46,
	PKVM_VCPU_LOAD = 47,
	PKVM_VCPU_PUT = 48,
};

/* What hypercall() gives where the hyp does not know the call: no other error has this number. */
#define NO_SUCH_CALL (-95)

/* x1 of __kvm_vcpu_run. */
#define EXIT_IRQ 0
#define EXIT_TRAP 2

/* struct kvm. */
#define KVM_HANDLE 0
#define KVM_CREATED_VCPUS 8
#define KVM_IS_PROTECTED 16
#define KVM_TEARDOWN 24
#define KVM_STAGE2_TEARDOWN 40
#define KVM_BYTES PAGE_BYTES

/* struct kvm_vcpu: x0 to x30 come first. */
#define VCPU_PC 256
#define VCPU_PSTATE 264
#define VCPU_SCTLR_EL1 840
#define VCPU_HCR 0x12b0
#define VCPU_ESR 0x12c8
#define VCPU_FAR 0x12d0
#define VCPU_HPFAR 0x12d8
#define VCPU_IFLAGS 0x12e8
#define VCPU_ID 0x12f0
#define VCPU_INDEX 0x12f8
#define VCPU_FLAGS 0x1300
#define VCPU_MEMCACHE 0x1308
#define VCPU_BYTES (2 * PAGE_BYTES)

#define IFLAG_INCREMENT_PC 2

#define HCR_TWI (1ul << 13)
#define HCR_TWE (1ul << 14)
#define RESET_PSTATE 0x3c5
#define RESET_SCTLR 0x00c50078
#define PROT_RWX 0xf

/* ESR_EL2. */
#define ESR_EC(esr) ((esr) >> 26 & 0x3f)
#define EC_WFX 0x01
#define EC_HVC64 0x16
#define EC_INSTRUCTION_ABORT 0x20
#define EC_DATA_ABORT 0x24
#define ESR_ISV (1ul << 24)
#define ESR_SRT(esr) ((esr) >> 16 & 31)
#define ESR_WNR (1ul << 6)

/* What the hyp keeps of a VM and of a vCPU with its context, in pages. */
#define HYP_VM_PAGES 1
#define HYP_ROOT_PAGES 1
#define HYP_VCPU_PAGES 2
/* Table pages that one mapping can need. */
#define MEMCACHE_LEAST 3

/* Calls the hyp. Gives what it says in x1, or NO_SUCH_CALL. */
s64 hypercall(enum hypercall call, u64 a, u64 b, u64 c, u64 d);

/* Memory of the host's: consecutive pages of zeros. */
void *allocate(u64 pages);
/* Whether an access of the host's own goes through; an abort that the hyp injects is taken and passed over. */
int can_read(u64 at);
int can_write(u64 at);

/* A property of the device tree, of the first node whose name begins so; 0 if there is none. */
const u8 *tree_property(const char *node, const char *name, u32 *bytes);
u64 tree_number(const u8 *value, u32 bytes);

#define GUEST_BASE 0x40000000ul
#define GUEST_BYTES (16ul << 20)
#define GUEST_PAGES (GUEST_BYTES / PAGE_BYTES)

struct vm {
	int protected;
	u64 handle;
	u8 *kvm;
	u8 *vcpu;
	/* The host's pages for the guest's memory, consecutive. */
	u8 *memory;
	u64 entry;
	/* Pages that the hyp was given for itself. */
	u64 given;
	/* Frames that the guest has. */
	u8 mapped[GUEST_PAGES];
	u64 frames;
};

static inline u64 *field(u8 *structure, u64 offset) { return (u64 *)(structure + offset); }

/* Puts an ELF file's segments into the guest's memory. Gives 0 for one that is none, or does not fit. */
int load_guest(struct vm *vm, const u8 *elf, u64 bytes);
/* Makes a VM with one vCPU known to the hyp. Gives 0 or an error. */
s64 create_vm(struct vm *vm);
/* Gives the guest a frame that it touched. */
s64 map_frame(struct vm *vm, u64 gfn);
/* Runs the guest until it powers off, or cannot go on; says why. */
const char *run_guest(struct vm *vm);
/* Takes the VM down and its memory back, and says what came of it. */
void tear_down(struct vm *vm);
