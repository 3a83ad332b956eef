/*
 * What our arm64 guests find on QEMU's `virt` machine: addresses, and PSCI's numbers (Arm DEN0022).
 */
#define UART_BASE 0x09000000
#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_TXFF_BIT 5

#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON 0xc4000003
#define PSCI_AFFINITY_INFO 0xc4000004
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_SYSTEM_RESET 0x84000009

/* The guest is linked here, far enough up for the device tree at the start of RAM. */
#define LOAD_ADDRESS 0x40200000
