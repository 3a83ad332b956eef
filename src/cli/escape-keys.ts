/** What a key behind the escape asks for. */
export type KeyAction = 'end' | 'next' | 'help' | 'hint';

const ESCAPE = 0x01;
/** Two in a row: somebody wants to end the run, and the guest does not care. */
const INTERRUPT = 0x03;
const ACTIONS: ReadonlyMap<string, KeyAction> = new Map([
  ['x', 'end'],
  ['n', 'next'],
  ['h', 'help'],
  ['?', 'help'],
]);

/** Listed by Ctrl-A h. */
export const KEY_HELP: readonly string[] = [
  'Ctrl-A x       end the run',
  'Ctrl-A n       type to the next VM',
  'Ctrl-A h       list these keys',
  'Ctrl-A Ctrl-A  send Ctrl-A',
];

/** Takes keys of ours out of what is typed: Ctrl-A and one more, as on QEMU's console. Other pairs go to nobody. */
export class EscapeKeys {
  readonly #act: (action: KeyAction) => void;
  #escaped = false;
  #last = 0;

  constructor(act: (action: KeyAction) => void) {
    this.#act = act;
  }

  /** @returns what is the guest's. The pair may come in two parts. */
  filter(keys: Uint8Array): Uint8Array {
    const through: number[] = [];
    for (const key of keys) {
      if (!this.#escaped) {
        this.#escaped = key === ESCAPE;
        if (key === INTERRUPT && this.#last === INTERRUPT) this.#act('hint');
        this.#last = key;
        if (!this.#escaped) through.push(key);
        continue;
      }
      this.#escaped = false;
      if (key === ESCAPE) through.push(key);
      const action = ACTIONS.get(String.fromCharCode(key).toLowerCase());
      if (action !== undefined) this.#act(action);
    }
    return Uint8Array.from(through);
  }
}
