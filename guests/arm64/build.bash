# What guests/build.sh builds for arm64; it sources this file in guests/.

readonly ARM64_CROSS=aarch64-linux-gnu-
readonly ARM64_TOOLS=("${ARM64_CROSS}gcc" "${ARM64_CROSS}as" "${ARM64_CROSS}ld" "${ARM64_CROSS}objcopy")
readonly ARM64_ASSEMBLY_GUESTS=(hello)
# float is missing: there is no floating point yet.
readonly ARM64_KERNELS=(list matrix state crc sha256 string quicksort hash)
readonly ARM64_C_GUESTS=(timer smp echo victim disk)
readonly ARM64_C=(
  -std=gnu11 -O2 -ffreestanding -fno-common -fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables
  -fno-tree-loop-distribute-patterns -fno-pic -mno-outline-atomics -mgeneral-regs-only -Iarm64/lib -Icrypto -Ikernels -Wall -Wextra -Werror
)
readonly ARM64_GUEST=(
  -march=armv8-a -nostdlib -static -no-pie -ffunction-sections -Wl,--gc-sections -Iarm64/include -Wa,--fatal-warnings "${LINK[@]}" -Wl,--script=arm64/guest.ld
)

arm64_elfs() {
  local name
  for name in "${ARM64_ASSEMBLY_GUESTS[@]}" "${ARM64_C_GUESTS[@]}" smp_lse host; do echo "arm64/$name.elf"; done
  for name in "${ARM64_KERNELS[@]}"; do echo "arm64/kernels/$name.elf"; done
}

# Arguments: where the ELF files go, the name of the guest, further options and sources.
arm64_c_guest() {
  local elf=$1/arm64/$2.elf
  shift 2
  "${ARM64_CROSS}gcc" "${ARM64_C[@]}" "${ARM64_GUEST[@]}" -o "$elf" arm64/lib/*.[cS] "$@"
  finish "$ARM64_CROSS" "$elf"
}

# Argument: where the ELF files go.
arm64_build() {
  local name
  mkdir -p "$1/arm64/kernels"
  for name in "${ARM64_ASSEMBLY_GUESTS[@]}"; do
    "${ARM64_CROSS}gcc" "${ARM64_GUEST[@]}" -o "$1/arm64/$name.elf" "arm64/$name.S"
    finish "$ARM64_CROSS" "$1/arm64/$name.elf"
  done
  for name in "${ARM64_C_GUESTS[@]}"; do
    arm64_c_guest "$1" "$name" "arm64/$name"{,_*}.[cS]
  done
  # The same with the atomic instructions of Armv8.1.
  arm64_c_guest "$1" smp_lse -march=armv8.2-a+lse arm64/smp.c
  # A host is no guest: what is above it is called by SMC.
  arm64_c_guest "$1" host '-DPSCI_CONDUIT="smc"' arm64/host/*.[cS]
  for name in "${ARM64_KERNELS[@]}"; do
    arm64_c_guest "$1" "kernels/$name" "-DITERATIONS=${KERNELS[$name]}" kernels/main.c "kernels/$name.c" crypto/*.c
  done
}

# The kernels as programs for Linux. Argument: where they go.
arm64_user_kernels() {
  local name
  for name in "${ARM64_KERNELS[@]}"; do
    "${ARM64_CROSS}gcc" "${ARM64_C[@]}" -march=armv8-a -nostdlib -static -ffunction-sections -Wl,--gc-sections -Iarm64/include \
      "-DITERATIONS=${KERNELS[$name]}" -o "$1/$name" arm64/user/linux.c arm64/lib/memory.c kernels/main.c "kernels/$name.c" crypto/*.c
  done
}
