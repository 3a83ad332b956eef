import type { Command } from 'commander';
import { createMachine } from '../index.ts';
import { Consoles } from './consoles.ts';
import { drive } from './drive.ts';
import { FileDisk } from './file-disk.ts';
import { OutputFile, TraceFile } from './files.ts';
import { hypervisorFindings } from './hypervisor-option.ts';
import { type RunPlan, runCommand } from './run-options.ts';
import { say } from './say.ts';
import { StopWatch } from './signals.ts';

/** Adds `cloister run`. */
export function addRun(program: Command, finish: (status: number) => void): void {
  program.addCommand(runCommand(async (plan) => finish(await run(plan))));
}

/** Whatever can be refused is refused before the run, and before a file is written. */
async function run(plan: RunPlan): Promise<number> {
  const stop = new StopWatch();
  // Making a machine takes a while: who ends the run then gets a report too.
  stop.listen();
  try {
    return await runMachine(plan, stop);
  } finally {
    stop.close();
  }
}

async function runMachine(plan: RunPlan, stop: StopWatch): Promise<number> {
  const trace = plan.trace === null ? null : new TraceFile();
  const machine = createMachine({ ...plan.machine, ...(trace && { trace }) });
  const consoles = new Consoles(machine, plan, stop);
  const disks = plan.disks.map((file) => new FileDisk(file));
  for (const [i, vm] of plan.vms.entries()) {
    const disk = disks[i];
    machine.addVm({ ...vm, console: consoles.backend(i), ...(disk && { disk }) });
  }
  machine.prepare();
  const report = plan.report === null ? null : new OutputFile(plan.report);
  if (plan.trace !== null) trace?.open(new OutputFile(plan.trace));
  for (const remark of plan.remarks) say(remark);
  const { outcome, status } = await (async () => {
    try {
      consoles.open();
      return await drive(machine, plan.limit, consoles);
    } finally {
      consoles.close();
      trace?.close();
      for (const disk of disks) disk.close();
    }
  })();
  report?.clear();
  report?.write(`${JSON.stringify(machine.report(), null, 2)}\n`);
  report?.close();
  for (const { vm, reason } of machine.report().esmFailures) say(`${vm}: not secure: ${reason}`);
  for (const line of hypervisorFindings(machine)) say(line);
  if (outcome.kind !== 'poweroff') say(`${outcome.kind}: ${outcome.detail}`);
  return status;
}
