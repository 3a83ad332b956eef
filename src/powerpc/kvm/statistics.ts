/** Counts for the report. */
export interface KvmStatistics {
  /** Exits by reason, `EXIT_REASONS`. */
  readonly exits: Record<string, number>;
  /** Hypercalls served, by name. */
  readonly hypercalls: Record<string, number>;
  /** Ultracalls issued, by name. */
  readonly ultracalls: Record<string, number>;
}

/** Counts one more of a name. */
export function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
