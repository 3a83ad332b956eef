/* Shared by faults.c and faults_attempts.S: what they keep in the prefix area. */
#pragma once

#define LC_STACK 0x400
#define LC_SVC_SEEN 0x408
#define LC_UNMAP 0x410
#define LC_ATTEMPT 0x420
#define LC_REGISTERS 0x480

#ifndef __ASSEMBLER__
/* An attempt is entered with its argument in R3; the instruction that is to fault is its first, unless it is a loop. */
typedef void attempted(void);

/* Runs one with the given PSW mask until it ends or faults. */
void run_attempt(attempted *code, u64 argument, u64 mask);
extern char attempt_svc[];

attempted try_operation, try_no_such, try_six_bytes, try_svc, try_stosm, try_stidp, try_spka, try_lctl, try_load, try_store, try_load_far;
attempted try_execute, try_lpswe_odd, try_odd_pair, try_csg_odd, try_divide, try_divide_overflow, try_add_overflow;
attempted try_float, try_monitor, try_multiple_load, try_multiple_store, try_move, try_move_from;
attempted try_test_under, try_convert, try_executed_store, try_long_move, try_compare, try_loop, try_unmap_in_loop;
#endif
