#include "pkvm.h"

#define HOST_CALL_BASE 0xc6000000ul

s64 hypercall(enum hypercall call, u64 a, u64 b, u64 c, u64 d)
{
	register u64 x0 asm("x0") = HOST_CALL_BASE + call;
	register u64 x1 asm("x1") = a;
	register u64 x2 asm("x2") = b;
	register u64 x3 asm("x3") = c;
	register u64 x4 asm("x4") = d;
	asm volatile("hvc #0"
		     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
		     :
		     : "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory");
	return x0 == 0 ? (s64)x1 : NO_SUCH_CALL;
}
