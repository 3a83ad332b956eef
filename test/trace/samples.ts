import type { TraceEvent } from '../../src/trace/events.ts';

/** One event of every type at least, on two CPUs: a guest's hypercall that is reflected, and what happens around it. */
export const samples: readonly TraceEvent[] = [
  { type: 'level-enter', at: 0n, cpu: 0, level: 'guest', cause: 'boot', nia: 0x400000n },
  {
    type: 'call',
    at: 10n,
    cpu: 0,
    kind: 'hypercall',
    number: 0x58,
    name: 'H_PUT_TERM_CHAR',
    args: [1n],
    from: 'guest',
  },
  { type: 'level-enter', at: 10n, cpu: 0, level: 'ultravisor', cause: 'trap', nia: 0xc00n },
  { type: 'level-enter', at: 12n, cpu: 0, level: 'hypervisor', cause: 'return', nia: 0xc000000000000c00n },
  { type: 'exit', at: 12n, cpu: 0, reason: 'SYSCALL' },
  { type: 'level-enter', at: 12n, cpu: 1, level: 'hypervisor', cause: 'boot', nia: 0n },
  { type: 'console', at: 13n, cpu: 0, vm: 1, bytes: Uint8Array.of(0x68, 0x69, 0x0a) },
  { type: 'call', at: 14n, cpu: 0, kind: 'ultracall', number: 0xf11c, name: 'UV_RETURN', args: [], from: 'hypervisor' },
  { type: 'page-state', at: 15n, cpu: 0, vm: 1, gfn: 0x40n, from: 'NORMAL', to: 'SECURE' },
  { type: 'refused-access', at: 15n, cpu: 1, agent: 'hypervisor', address: 1n << 48n, size: 8, write: true },
  { type: 'vm-state', at: 16n, cpu: 0, vm: 1, from: 'TRANSIENT', to: 'SECURE' },
  { type: 'level-enter', at: 17n, cpu: 0, level: 'guest', cause: 'return', nia: 0x400010n },
  { type: 'call-return', at: 17n, cpu: 0, kind: 'hypercall', number: 0x58, result: 0xfffffffffffffffcn },
  { type: 'call-return', at: 18n, cpu: 1, kind: 'ultracall', number: 0xf130, result: 0n },
  { type: 'console-input', at: 19n, cpu: 0, vm: 1, bytes: Uint8Array.of(0x0d) },
  { type: 'note', at: 20n, cpu: 1, text: 'the "end"' },
];
