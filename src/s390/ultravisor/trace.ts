import type { UvContext } from './context.ts';
import type { Configuration, ConfigurationState } from './state.ts';

/** Tells the trace of a configuration's new state. */
export function traceConfig(uv: UvContext, { number }: Configuration, from: string, to: string): void {
  if (from !== to) uv.trace?.emit({ type: 'vm-state', at: uv.clock(), cpu: -1, vm: number, from, to });
}

/** Puts a configuration into a state. */
export function setConfigState(uv: UvContext, config: Configuration, next: ConfigurationState): void {
  const before = config.state;
  config.state = next;
  traceConfig(uv, config, before, next);
}
