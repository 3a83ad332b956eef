#include "lib.h"

u64 command_line_number(u64 otherwise)
{
	const volatile char *text = loaded_command_line;
	u64 value = 0;
	if (!*text)
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		value = 10 * value + (*text - '0');
	return *text ? otherwise : value;
}
