import type { CallKind } from '../../trace/events.ts';
import { hcallName, ultracallName } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';

/** Tells the trace of a call that the Ultravisor serves itself. */
export function traceCall(
  uv: UvContext,
  port: RegisterPort,
  kind: CallKind,
  number: number,
  args: readonly bigint[],
  from: string,
): void {
  const name = kind === 'hypercall' ? hcallName(number) : ultracallName(number);
  uv.trace?.emit({ type: 'call', at: port.clock, cpu: port.cpu, kind, number, name, args, from });
}

/** Tells the trace of the end of a call that the Ultravisor serves itself. */
export function traceCallReturn(
  uv: UvContext,
  port: RegisterPort,
  kind: CallKind,
  number: number,
  result: bigint,
): void {
  uv.trace?.emit({ type: 'call-return', at: port.clock, cpu: port.cpu, kind, number, result });
}

/**
 * Tells the trace of a hypercall that goes on to the hypervisor, unless that tells it itself.
 * @param args what the hypervisor sees; never another register of an SVM
 */
export function traceServed(
  uv: UvContext,
  port: RegisterPort,
  number: number,
  args: readonly bigint[],
  from: string,
): void {
  if (uv.traceServed) traceCall(uv, port, 'hypercall', number, args, from);
}

/** Tells the trace that the hypervisor has answered a hypercall, unless it does so itself. */
export function traceServedReturn(uv: UvContext, port: RegisterPort, number: number, result: bigint): void {
  if (uv.traceServed) traceCallReturn(uv, port, 'hypercall', number, result);
}
