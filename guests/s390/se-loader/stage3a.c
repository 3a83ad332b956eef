/* Asks the hypervisor to unpack and verify the image, and to start it as a protected VM (s390-pv.md 5.2, 5.3). */
#include "loader.h"

#define FACILITY_UNPACK 161
#define DIAG_308_SET_PV 8
#define DIAG_308_UNPACK_PV 10
#define DIAG_308_OK 1
#define IPIB_HEADER_ADDRESS 0x78
#define IPIB_HEADER_BYTES 0x80

/* Offsets are from here, so that an image can lie anywhere. */
extern volatile struct {
	u64 header_offset, header_bytes, ipib_offset;
} arguments;

/* At absolute 0: a compiler takes a number for an address as a mistake there. */
extern volatile u8 lowcore[];

/* What goes wrong most often, by response and reason code of the Ultravisor (2.10, 2.11). */
static const struct {
	u16 rc, rrc;
	char text[60];
} reasons[] = {
	{ 0x0102, 0x001a, "the pages are not at their addresses (ALD)" },
	{ 0x0102, 0x001b, "the pages are not those of the image (PLD)" },
	{ 0x0102, 0x001c, "the tweaks are not those of the image (TLD)" },
	{ 0x0102, 0x001d, "the number of pages is not that of the image" },
	{ 0x0104, 0x0001, "the version of the header is not supported" },
	{ 0x0106, 0x0030, "a plaintext control flag is not supported" },
	{ 0x0108, 0x0005, "the image was not made for this machine's host key" },
	{ 0x0108, 0x000b, "the customer's public key is not valid" },
	{ 0x0108, 0x0034, "the backup host key is another one" },
	{ 0x0109, 0x0000, "a secret control flag is not supported" },
	{ 0x010a, 0x0031, "the length of the header is not right" },
	{ 0x010a, 0x0039, "the size of the encrypted area is not right" },
	{ 0x010a, 0x0040, "the header has no key slots" },
};

static int has_facility(u32 bit)
{
	u64 list[4] = { 0 };
	register u64 last asm("0") = 3;
	asm volatile(".insn s,0xb2b00000,%0" : "=Q"(list), "+d"(last) : : "cc", "memory");
	return list[bit / 64] >> (63 - bit % 64) & 1;
}

static u64 diag308(u64 subcode, u64 address)
{
	register u64 parameter asm("2") = address;
	register u64 code asm("3") = 0;
	asm volatile("diag %0,%2,0x308" : "+d"(parameter), "+d"(code) : "d"(subcode) : "cc", "memory");
	return code;
}

/* A hypervisor may say which command failed, and how: bits 0 to 15 of the code, then rrc, rc, and 0x0a02. */
static void explain(u64 code)
{
	u32 rc = code >> 32 & 0xffff, rrc = code >> 16 & 0xffff;
	for (u32 i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].rc == rc && reasons[i].rrc == rrc)
			print(reasons[i].text);
}

_Noreturn void go_protected(void)
{
	u64 here = (u64)&arguments, ipib = here + arguments.ipib_offset;
	*(volatile u64 *)(ipib + IPIB_HEADER_ADDRESS) = here + arguments.header_offset;
	*(volatile u64 *)(ipib + IPIB_HEADER_BYTES) = arguments.header_bytes;
	if (!has_facility(FACILITY_UNPACK)) {
		print("Secure Execution: this machine cannot unpack images (facility 161)");
		stop(WAIT_NO_UNPACK);
	}
	u64 code = diag308(DIAG_308_SET_PV, ipib);
	if (code != DIAG_308_OK) {
		print_number("Secure Execution: the parameters of the image were refused: 0x", code);
		stop(WAIT_NOT_PROTECTED);
	}
	/* Whoever gets through is not here any more. */
	code = diag308(DIAG_308_UNPACK_PV, 0);
	explain(code);
	print_number("Secure Execution: the image was not started: 0x", code);
	stop(WAIT_NOT_PROTECTED);
}

_Noreturn void unexpected_program(void)
{
	print_number("Secure Execution: program interruption 0x", *(volatile u16 *)(lowcore + 0x8e));
	stop(WAIT_NOT_PROTECTED);
}
