import type { CallEvent, CallReturnEvent, TraceEvent, TraceStamp } from './events.ts';
import { traceJson } from './json.ts';

/**
 * One record of Google's Trace Event Format, as chrome://tracing and Perfetto read it. Phases used here: B and E begin
 * and end a slice of a thread, b and e a slice that may overlap others, i is an instant, M names a process or thread.
 */
export interface ChromeRecord {
  readonly name: string;
  readonly ph: 'B' | 'E' | 'b' | 'e' | 'i' | 'M';
  /** Microseconds in the viewer, here instructions: one instruction is shown as one microsecond. */
  readonly ts: number;
  /** One process per machine. */
  readonly pid: number;
  /** One thread per physical CPU. */
  readonly tid: number;
  /** The event type, by which a viewer filters. */
  readonly cat?: string;
  /** With b and e: which b an e belongs to. */
  readonly id?: string;
  /** With i: how wide it is drawn, thread or process. */
  readonly s?: 't' | 'p';
  readonly args?: Readonly<Record<string, unknown>>;
}

const PID = 1;

/**
 * The run as Chrome trace records: each CPU is a thread, the level in control its slices, calls are overlapping slices
 * from call to return, everything else is an instant with the event's own fields as arguments. Slices that are open
 * at the end are closed at the time of the last event.
 */
export function chromeRecords(events: Iterable<TraceEvent>): ChromeRecord[] {
  const records: ChromeRecord[] = [
    { name: 'process_name', ph: 'M', ts: 0, pid: PID, tid: 0, args: { name: 'cloister' } },
  ];
  const cpus = new Map<number, OpenSlices>();
  let calls = 0;
  let last = 0n;

  for (const event of events) {
    last = event.at;
    let open = cpus.get(event.cpu);
    if (!open) {
      open = { level: undefined, calls: [] };
      cpus.set(event.cpu, open);
      records.push({
        name: 'thread_name',
        ph: 'M',
        ts: 0,
        pid: PID,
        tid: event.cpu,
        args: { name: `CPU ${event.cpu}` },
      });
    }
    if (event.type === 'level-enter') {
      if (open.level !== undefined) records.push(record('E', open.level, 'level-enter', event));
      records.push({ ...record('B', event.level, event.type, event), args: argsOf(event) });
      open.level = event.level;
    } else if (event.type === 'call') {
      const call = { id: `call ${++calls}`, event };
      open.calls.push(call);
      records.push({ ...record('b', event.name, event.kind, event), id: call.id, args: argsOf(event) });
    } else if (event.type === 'call-return') {
      const index = open.calls.findLastIndex((call) => answers(event, call.event));
      if (index < 0) {
        records.push(instant(event, `return of ${event.kind} 0x${event.number.toString(16)}`));
      } else {
        const [call] = open.calls.splice(index, 1);
        records.push({ ...record('e', call.event.name, event.kind, event), id: call.id, args: argsOf(event) });
      }
    } else {
      records.push(instant(event, instantName(event)));
    }
  }

  for (const [cpu, { level, calls: unanswered }] of cpus) {
    const end = { at: last, cpu };
    for (const { id, event } of unanswered) records.push({ ...record('e', event.name, event.kind, end), id });
    if (level !== undefined) records.push(record('E', level, 'level-enter', end));
  }
  return records;
}

/** The run as a file in the format's JSON array form, one record per line. */
export function chromeTrace(events: Iterable<TraceEvent>): string {
  return `[\n${chromeRecords(events).map(traceJson).join(',\n')}\n]\n`;
}

interface OpenSlices {
  level: string | undefined;
  readonly calls: { readonly id: string; readonly event: CallEvent }[];
}

function answers(event: CallReturnEvent, call: CallEvent): boolean {
  return call.kind === event.kind && call.number === event.number;
}

function record<P extends ChromeRecord['ph']>(ph: P, name: string, cat: string, { at, cpu }: TraceStamp) {
  return { name, ph, ts: Number(at), pid: PID, tid: cpu, cat };
}

function instant(event: TraceEvent, name: string): ChromeRecord {
  return { ...record('i', name, event.type, event), s: event.type === 'vm-state' ? 'p' : 't', args: argsOf(event) };
}

function instantName(event: Exclude<TraceEvent, { readonly type: 'level-enter' | 'call' | 'call-return' }>): string {
  switch (event.type) {
    case 'exit':
      return `exit: ${event.reason}`;
    case 'page-state':
    case 'vm-state':
      return `${event.from} → ${event.to}`;
    case 'refused-access':
      return `refused ${event.write ? 'write' : 'read'} by ${event.agent}`;
    case 'console':
      return `console of VM ${event.vm}`;
    case 'console-input':
      return `input of VM ${event.vm}`;
    case 'note':
      return event.text;
  }
}

function argsOf(event: TraceEvent): Record<string, unknown> {
  const { at: _at, cpu: _cpu, type: _type, ...args } = event;
  return args;
}
