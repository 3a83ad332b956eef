#!/usr/bin/env bash
# Builds our guests: guests/build.sh writes the ELF files that are committed, guests/build.sh --check builds them elsewhere
# and compares, bit for bit. The tools are those of Debian 12; others may write other bytes.
set -eu -o pipefail
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0

readonly CROSS=powerpc64le-linux-gnu-
readonly TOOLS=("${CROSS}gcc" "${CROSS}as" "${CROSS}ld" "${CROSS}objcopy" dtc)
readonly ELFS=(powerpc/hello.elf powerpc/secret.elf powerpc/hypervisor.elf)

# Warnings are errors: a source that compiles with a complaint is not finished.
readonly COMMON=(-mcpu=power9 -nostdlib -static -no-pie -Ipowerpc/include -Wa,--fatal-warnings)
readonly LINK=(-Wl,--build-id=none,--nmagic,--no-warn-rwx-segments,--fatal-warnings)
readonly GUEST=(-mlittle-endian "${COMMON[@]}" "${LINK[@]}" -Wl,--script=powerpc/guest.ld)
readonly HYPERVISOR=(
  -mbig-endian -mabi=elfv2 "${COMMON[@]}" "${LINK[@]}" -Wl,--script=powerpc/hypervisor/hypervisor.ld -Wl,-EB
  -std=gnu11 -O2 -ffreestanding -fno-pic -fno-common -fno-strict-aliasing -fno-stack-protector
  -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
  -mno-altivec -mno-vsx -msoft-float -mstrict-align -Wall -Wextra -Werror
)

usage() {
  echo 'usage: guests/build.sh [--check]' >&2
  exit 2
}

require_tools() {
  local tool missing=()
  for tool in "${TOOLS[@]}"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  echo "guests/build.sh: missing ${missing[*]}" >&2
  echo 'Debian packages: gcc-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu device-tree-compiler' >&2
  exit 1
}

# Symbols that others may look for stay; what names a file or a tool goes.
finish() {
  "${CROSS}objcopy" --strip-debug --discard-all --remove-section=.comment "$1"
  chmod 644 "$1"
}

build_guest() {
  "${CROSS}gcc" "${GUEST[@]}" -o "$1/powerpc/$2.elf" "powerpc/$2.S"
  finish "$1/powerpc/$2.elf"
}

build_hypervisor() {
  local elf=$1/powerpc/hypervisor.elf
  dtc -q -p 1024 -I dts -O dtb -o "$2/guest.dtb" powerpc/hypervisor/guest.dts
  "${CROSS}gcc" "${HYPERVISOR[@]}" "-Wa,-I$2" -o "$elf" powerpc/hypervisor/*.S powerpc/hypervisor/*.c
  finish "$elf"
}

# Arguments: where the ELF files go, and a directory for what lies between.
build() {
  mkdir -p "$1/powerpc"
  build_guest "$1" hello
  build_guest "$1" secret
  build_hypervisor "$1" "$2"
}

check() {
  local elf status=0
  build "$1/new" "$1"
  for elf in "${ELFS[@]}"; do
    if cmp "$elf" "$1/new/$elf"; then
      echo "same: $elf"
    else
      echo "DIFFERENT: guests/$elf is not what its sources build" >&2
      status=1
    fi
  done
  return "$status"
}

[ "$#" -le 1 ] || usage
mode=${1:-build}
[ "$mode" = build ] || [ "$mode" = --check ] || usage
require_tools
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ "$mode" = --check ]; then
  check "$scratch"
else
  build . "$scratch"
fi
