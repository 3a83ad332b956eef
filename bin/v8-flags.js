import { setFlagsFromString } from 'node:v8';

// V8 reads both when it first compiles a module. Another V8 may have dropped them; they only concern speed, so that is no
// reason to stop.
const FLAGS = [
  // Branch hints of WebAssembly; V8 of Node 20 to 24 honours them only so.
  '--experimental-wasm-branch-hinting',
  // In functions of the size of an interpreter or a large region V8 keeps every value in memory otherwise.
  '--no-turbo-use-mid-tier-regalloc-for-huge-functions',
];
for (const flag of FLAGS) {
  try {
    setFlagsFromString(flag);
  } catch {}
}
