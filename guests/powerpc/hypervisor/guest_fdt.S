/* The guest's device tree, compiled from guest.dts. */
	.section .rodata
	.balign	8
	.globl	guest_fdt
guest_fdt:
	.incbin	"guest.dtb"
	.globl	guest_fdt_end
guest_fdt_end:
