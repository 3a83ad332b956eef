#!/usr/bin/env bash
# Builds our guests: guests/build.sh writes the ELF files that are committed, guests/build.sh --check builds them elsewhere
# and compares, bit for bit. The tools are those of Debian 12; others may write other bytes. With --user-kernels ARCH DIRECTORY
# it builds the compute kernels as Linux programs, which the benches run on user-mode QEMU; arm64 has them.
set -eu -o pipefail
shopt -s nullglob
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0

readonly CROSS=powerpc64le-linux-gnu-
readonly TOOLS=("${CROSS}gcc" "${CROSS}as" "${CROSS}ld" "${CROSS}objcopy" dtc)
readonly ASSEMBLY_GUESTS=(hello secret)
readonly C_GUESTS=(timer smp faults smc secret_shared hypercalls echo reboot pager victim disk passphrase)
# How often a kernel runs unless its command line says: one to two seconds on QEMU.
readonly -A KERNELS=(
  [list]=160 [matrix]=350 [state]=400 [crc]=220 [sha256]=1600 [string]=200 [quicksort]=220 [hash]=5 [float]=400
)
elfs() {
  local name
  for name in "${ASSEMBLY_GUESTS[@]}" "${C_GUESTS[@]}" hypervisor; do echo "powerpc/$name.elf"; done
  for name in "${!KERNELS[@]}"; do echo "powerpc/kernels/$name.elf"; done | sort
  arm64_elfs
  s390_elfs
}

# Warnings are errors: a source that compiles with a complaint is not finished.
readonly COMMON=(-mcpu=power9 -nostdlib -static -no-pie -Ipowerpc/include -Wa,--fatal-warnings)
readonly LINK=(-Wl,--build-id=none,--nmagic,--no-warn-rwx-segments,--fatal-warnings)
readonly GUEST=(-mlittle-endian "${COMMON[@]}" "${LINK[@]}" -Wl,--script=powerpc/guest.ld)
readonly C=(
  -std=gnu11 -O2 -ffreestanding -fno-common -fno-strict-aliasing -fno-stack-protector
  -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -mno-altivec -mno-vsx -Wall -Wextra -Werror
)
readonly HYPERVISOR=(
  -mbig-endian -mabi=elfv2 "${COMMON[@]}" "${LINK[@]}" -Wl,--script=powerpc/hypervisor/hypervisor.ld -Wl,-EB
  "${C[@]}" -fno-pic -msoft-float -mstrict-align
)
# Position-independent code without relocation: lib.ld says how.
readonly C_GUEST=(
  -mlittle-endian "${COMMON[@]}" "${C[@]}" -ffunction-sections -fpie -msingle-pic-base -mcmodel=medium
  -fvisibility=hidden -ffp-contract=off -fno-math-errno -Ipowerpc/lib -Icrypto -Ikernels
)

source arm64/build.bash
source s390/build.bash

usage() {
  echo 'usage: guests/build.sh [--check | --user-kernels arm64 DIRECTORY]' >&2
  exit 2
}

require_tools() {
  local tool missing=()
  for tool in "${TOOLS[@]}" "${ARM64_TOOLS[@]}" "${S390_TOOLS[@]}"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  echo "guests/build.sh: missing ${missing[*]}" >&2
  echo 'Debian packages: gcc-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu device-tree-compiler' \
    'gcc-aarch64-linux-gnu binutils-aarch64-linux-gnu gcc-s390x-linux-gnu binutils-s390x-linux-gnu' >&2
  exit 1
}

# Symbols that others may look for stay; what names a file or a tool goes. Arguments: prefix of the tools, the ELF file.
finish() {
  "${1}objcopy" --strip-debug --discard-all --remove-section=.comment "$2"
  chmod 644 "$2"
}

build_guest() {
  "${CROSS}gcc" "${GUEST[@]}" -o "$1/powerpc/$2.elf" "powerpc/$2.S"
  finish "$CROSS" "$1/powerpc/$2.elf"
}

# What all C guests are made of, once for each of the two ways to treat floating point. Argument: where the objects go.
build_library() {
  local float source
  for float in soft hard; do
    mkdir -p "$1/$float"
    for source in powerpc/lib/*.[cS] crypto/*.c; do
      "${CROSS}gcc" "${C_GUEST[@]}" "-m$float-float" -c -o "$1/$float/$(basename "$source").o" "$source"
    done
  done
}

# Arguments: where the ELF files go, objects of the library, the name of the guest, further options and sources.
build_c_guest() {
  local elf=$1/powerpc/$3.elf library=$2
  shift 3
  "${CROSS}gcc" "${C_GUEST[@]}" "${LINK[@]}" -Wl,--script=powerpc/lib/lib.ld,--gc-sections -o "$elf" "$library"/*.o "$@"
  finish "$CROSS" "$elf"
}

# Only one of them computes with floating-point registers.
build_kernel() {
  local name=$3 float=soft
  [ "$name" = float ] && float=hard
  build_c_guest "$1" "$2/$float" "kernels/$name" "-m$float-float" "-DITERATIONS=${KERNELS[$name]}" \
    powerpc/kernels/main.c "kernels/$name.c"
}

build_hypervisor() {
  local elf=$1/powerpc/hypervisor.elf
  dtc -q -p 8192 -I dts -O dtb -o "$2/guest.dtb" powerpc/hypervisor/guest.dts
  "${CROSS}gcc" "${HYPERVISOR[@]}" "-Wa,-I$2" -o "$elf" powerpc/hypervisor/*.S powerpc/hypervisor/*.c
  finish "$CROSS" "$elf"
}

# Arguments: where the ELF files go, and a directory for what lies between.
build() {
  local name
  mkdir -p "$1/powerpc/kernels"
  for name in "${ASSEMBLY_GUESTS[@]}"; do build_guest "$1" "$name"; done
  build_library "$2/lib"
  for name in "${C_GUESTS[@]}"; do
    build_c_guest "$1" "$2/lib/soft" "$name" -msoft-float "powerpc/$name"{,_*}.[cS]
  done
  for name in "${!KERNELS[@]}"; do build_kernel "$1" "$2/lib" "$name"; done
  build_hypervisor "$1" "$2"
  arm64_build "$1"
  s390_build "$1"
}

check() {
  local elf status=0
  build "$1/new" "$1"
  for elf in $(elfs); do
    if cmp "$elf" "$1/new/$elf"; then
      echo "same: $elf"
    else
      echo "DIFFERENT: guests/$elf is not what its sources build" >&2
      status=1
    fi
  done
  return "$status"
}

mode=${1:-build}
case "$mode $#" in
  build\ 0 | --check\ 1) ;;
  --user-kernels\ 3)
    [ "$2" = arm64 ] || usage
    command -v "${ARM64_CROSS}gcc" >/dev/null || { echo "${ARM64_CROSS}gcc is missing" >&2; exit 1; }
    arm64_user_kernels "$3"
    exit
    ;;
  *) usage ;;
esac
require_tools
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ "$mode" = --check ]; then
  check "$scratch"
else
  build . "$scratch"
fi
