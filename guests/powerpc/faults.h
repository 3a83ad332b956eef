/* Shared by faults.c and faults_attempts.S. */
#ifndef FAULTS_H
#define FAULTS_H

#define TEST_BASE 0x10000000
#define TEST_PID 1

/* struct unmap */
#define UNMAP_ENTRY 0
#define UNMAP_RB 8
#define UNMAP_RS 16

/* struct attempt */
#define ATTEMPT_AT 0
#define ATTEMPT_RESUME 8
#define ATTEMPT_MSR 16

#ifndef __ASSEMBLER__
/* Filled by `run_attempt`: the instruction that is to fault, and where and with which MSR to go on after it. */
struct attempt {
  u64 at, resume, msr;
};
extern struct attempt faulting;

/* A page table entry, and what tlbie takes to forget it. */
struct unmap {
  u64 *entry;
  u64 rb, rs;
};

/* An attempt is entered with its argument in R3; the instruction that is to fault is its first. */
typedef void attempted(void);

/* Runs one with the given MSR until it returns or faults. */
void run_attempt(attempted *code, u64 argument, u64 msr);

attempted try_illegal, try_trap, try_no_trap, try_mfmsr, try_mtspr, try_mtspr_unknown, try_system_call, try_float, try_vector;
attempted try_lwarx, try_lmw, try_load, try_store, try_dcbz, try_load_reversed;
attempted try_load_halfword, try_load_update, try_store_update, try_loop, try_unmap_in_loop;
attempted try_load_multiple, try_store_multiple, try_load_string, try_store_string;
#endif
#endif
