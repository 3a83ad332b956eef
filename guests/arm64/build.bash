# What guests/build.sh builds for arm64; it sources this file in guests/.

readonly ARM64_CROSS=aarch64-linux-gnu-
readonly ARM64_TOOLS=("${ARM64_CROSS}gcc" "${ARM64_CROSS}as" "${ARM64_CROSS}ld" "${ARM64_CROSS}objcopy")
readonly ARM64_ASSEMBLY_GUESTS=(hello)
readonly ARM64_C_GUESTS=(timer smp)
readonly ARM64_C=(
  -std=gnu11 -O2 -ffreestanding -fno-common -fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables
  -fno-tree-loop-distribute-patterns -fno-pic -mno-outline-atomics -mgeneral-regs-only -Iarm64/lib -Wall -Wextra -Werror
)
readonly ARM64_GUEST=(
  -march=armv8-a -nostdlib -static -no-pie -Iarm64/include -Wa,--fatal-warnings "${LINK[@]}" -Wl,--script=arm64/guest.ld
)

arm64_elfs() {
  local name
  for name in "${ARM64_ASSEMBLY_GUESTS[@]}" "${ARM64_C_GUESTS[@]}"; do echo "arm64/$name.elf"; done
}

# Argument: where the ELF files go.
arm64_build() {
  local name
  mkdir -p "$1/arm64"
  for name in "${ARM64_ASSEMBLY_GUESTS[@]}"; do
    "${ARM64_CROSS}gcc" "${ARM64_GUEST[@]}" -o "$1/arm64/$name.elf" "arm64/$name.S"
    finish "$ARM64_CROSS" "$1/arm64/$name.elf"
  done
  for name in "${ARM64_C_GUESTS[@]}"; do
    "${ARM64_CROSS}gcc" "${ARM64_C[@]}" "${ARM64_GUEST[@]}" -o "$1/arm64/$name.elf" arm64/lib/*.[cS] "arm64/$name.c"
    finish "$ARM64_CROSS" "$1/arm64/$name.elf"
  done
}
