import { affinityOf, PSCI } from '../abi.ts';
import type { BootJob, Step } from './job.ts';
import type { Ctx } from './state.ts';

/** The host at boot (arm64-pkvm.md 8.1): installs the hyp, gives it memory, gives up its own rights, and starts the other CPUs, which come up below it. */
export function runBoot(ctx: Ctx, job: BootJob, result: number): Step {
  const { pool, cpus, entry } = ctx.kvm.layout;
  switch (job.step) {
    case 'vectors':
      job.step = 'init';
      return { do: 'hyp-init' };
    case 'init':
      job.step = 'finalize';
      return { do: 'call', name: '__pkvm_init', args: [pool.base, pool.bytes, 0, 48] };
    case 'finalize':
      check('__pkvm_init', result);
      job.step = 'cpus';
      return { do: 'call', name: '__pkvm_prot_finalize', args: [] };
    case 'cpus':
      check('__pkvm_prot_finalize or CPU_ON', result);
      job.cpu += 1;
      if (job.cpu >= cpus) return { do: 'give', value: 0 };
      return { do: 'smc', registers: [BigInt(PSCI.CPU_ON_64), BigInt(affinityOf(job.cpu)), entry, 0n] };
  }
}

/** The host's memory and CPUs are our own to lay out: what the hyp refuses of them is a mistake of ours. */
function check(what: string, result: number): void {
  if (result !== 0) throw new Error(`${what}: ${result}`);
}
