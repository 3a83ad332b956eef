# What guests/build.sh builds for s390; it sources this file in guests/.

readonly S390_CROSS=s390x-linux-gnu-
readonly S390_TOOLS=("${S390_CROSS}gcc" "${S390_CROSS}as" "${S390_CROSS}ld" "${S390_CROSS}objcopy")
readonly S390_ASSEMBLY_GUESTS=(hello)
readonly S390_C_GUESTS=(timer smp echo disk sclp reboot secret sharing pager faults victim machine_check)
# The boot loaders of a Secure Execution image.
readonly S390_LOADERS=(stage3a stage3b)
readonly S390_C=(
  -std=gnu11 -O2 -ffreestanding -fno-common -fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables
  -fno-tree-loop-distribute-patterns -fno-pic -ffp-contract=off -fno-math-errno -Is390/lib -Icrypto -Ikernels -Wall -Wextra -Werror
)
readonly S390_GUEST=(
  -m64 -nostdlib -static -no-pie -ffunction-sections -Wl,--gc-sections -Is390/include -Wa,--fatal-warnings "${LINK[@]}" -Wl,--script=s390/guest.ld
)

s390_elfs() {
  local name
  for name in "${S390_ASSEMBLY_GUESTS[@]}" "${S390_C_GUESTS[@]}" smp_z13; do echo "s390/$name.elf"; done
  for name in "${S390_LOADERS[@]}"; do echo "s390/se-loader/$name.elf"; done
  for name in "${!KERNELS[@]}"; do echo "s390/kernels/$name.elf"; done | sort
}

# Arguments: where the ELF files go, the name of the guest, the processor, further options and sources.
s390_c_guest() {
  local elf=$1/s390/$2.elf options=("-march=$3")
  [ "$3" = z13 ] && options+=(-mno-vx)
  shift 3
  "${S390_CROSS}gcc" "${S390_C[@]}" "${S390_GUEST[@]}" "${options[@]}" -o "$elf" s390/lib/*.[cS] crypto/*.c "$@"
  finish "$S390_CROSS" "$elf"
}

# Argument: where the ELF files go.
s390_build() {
  local name float
  mkdir -p "$1/s390/kernels"
  for name in "${S390_ASSEMBLY_GUESTS[@]}"; do
    "${S390_CROSS}gcc" -march=z10 "${S390_GUEST[@]}" -o "$1/s390/$name.elf" "s390/$name.S"
    finish "$S390_CROSS" "$1/s390/$name.elf"
  done
  mkdir -p "$1/s390/se-loader"
  for name in "${S390_LOADERS[@]}"; do
    "${S390_CROSS}gcc" "${S390_C[@]}" -march=z10 -m64 -Os -msoft-float -nostdlib -static -no-pie -Wa,--fatal-warnings "${LINK[@]}" \
      -Wl,--script="s390/se-loader/$name.ld" -o "$1/s390/se-loader/$name.elf" "s390/se-loader/$name.S" "s390/se-loader/$name.c" s390/se-loader/console.c
    finish "$S390_CROSS" "$1/s390/se-loader/$name.elf"
  done
  for name in "${S390_C_GUESTS[@]}"; do s390_c_guest "$1" "$name" z10 -msoft-float "s390/$name"{,_*}.[cS]; done
  # The same with the interlocked-access instructions.
  s390_c_guest "$1" smp_z13 z13 -msoft-float s390/smp.c
  for name in "${!KERNELS[@]}"; do
    float=-msoft-float
    [ "$name" = float ] && float=-mhard-float
    s390_c_guest "$1" "kernels/$name" z13 "$float" "-DITERATIONS=${KERNELS[$name]}" kernels/main.c "kernels/$name.c"
  done
}
