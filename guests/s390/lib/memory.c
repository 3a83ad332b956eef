/* What the compiler calls. */
#include "lib.h"

void *memcpy(void *to, const void *from, unsigned long bytes)
{
	char *target = to;
	const char *source = from;
	while (bytes--)
		*target++ = *source++;
	return to;
}

void *memset(void *at, int value, unsigned long bytes)
{
	char *target = at;
	while (bytes--)
		*target++ = value;
	return at;
}
