import { describe, expect, test } from 'vitest';
import { S390HostMachine } from '../../../src/s390/host-machine.ts';
import { runS390Guest, type S390End } from '../../support/s390-guest.ts';

const END = { kind: 'poweroff', detail: 'every CPU is stopped' };

const lines = (...texts: string[]): string => texts.map((text) => `${text}\n`).join('');

function statisticsOf({ machine }: S390End): ReturnType<S390HostMachine['statistics']> {
  if (!(machine instanceof S390HostMachine)) throw new Error('a protected guest needs a host');
  return machine.statistics();
}

/** Guests that a protected VM says other things of than a normal one, or that are there for it. */
const GUESTS: readonly (readonly [name: string, cmdline: string, says: string])[] = [
  [
    'secret',
    '',
    lines(
      'talking through one page',
      'made a secret of 32 bytes',
      'mixed it',
      'secret intact',
      'page taken back',
      'ran as a protected VM',
    ),
  ],
  [
    'sharing',
    '',
    // Response codes of s390-pv.md 2.1 and 2.16, and its appendix on what firmware is tested to do.
    lines(
      'query that is too short: 0005',
      "a host's call: 0002",
      'no call: 0002',
      'share, wrong length: 0005',
      'unshare, wrong length: 0005',
      'share beyond storage: 0101',
      'unshare beyond storage: 0101',
      'share: 0001',
      '  bytes changed 0',
      'share again: 0001',
      'unshare: 0001',
      '  bytes changed 0',
      'unshare again: 0001',
    ),
  ],
  [
    'victim',
    '',
    lines('made a secret', ...[1, 2, 3, 4, 5, 6].map((round) => `round ${round}: intact`), 'ran as a protected VM'),
  ],
];

describe.each([false, true])('protected s390 guests, interpreted: %s', (interpret) => {
  test.each(GUESTS)('%s says what it should', (name, cmdline, says) => {
    const end = runS390Guest(name, { place: 'protected', cmdline, interpret });
    expect({ console: end.console, outcome: end.outcome }).toEqual({ console: says, outcome: END });
    expect(statisticsOf(end).vmStates).toEqual({ [name]: 'secure' });
  });
});

test('the command line of an image is what its guest gets', () => {
  const [short, long] = ['1', '3'].map((cmdline) => runS390Guest('kernels/crc', { place: 'protected', cmdline }));
  expect(short?.console).toBe(runS390Guest('kernels/crc', { cmdline: '1' }).console);
  expect(long?.console).toBe(runS390Guest('kernels/crc', { cmdline: '3' }).console);
  expect(long?.console).not.toBe(short?.console);
});

test('pages of a pager leave and come back with what it stored', () => {
  const end = runS390Guest('pager', { place: 'protected', cmdline: '300' });
  expect(end.console).toBe(runS390Guest('pager', { cmdline: '300' }).console);
  expect(statisticsOf(end).pages.SECURE).toBeGreaterThan(300);
});

test.each(['timer', 'faults'])('%s says in a protected VM what it says in a normal one', (name) => {
  const [secure, normal] = (['protected', 'machine'] as const).map((place) => runS390Guest(name, { place }));
  expect(secure?.console).toBe(normal?.console);
});

describe('an image that is not as it was made', () => {
  /** Offsets in the image of the first component and of the header: what is changed there. */
  const CHANGES: readonly (readonly [what: string, at: (image: Uint8Array) => number, failure: RegExp])[] = [
    ['a page of the kernel', (image) => image.length - 0x3000, /^VERIFY: rc 0x010[0-9a-f]/],
    ['the header', (image) => indexOf(image, 'IBMSecEx') + 0x40, /^SET_SEC_PARMS: rc 0x/],
  ];

  test.each(CHANGES)('does not become protected: %s', (_, at, failure) => {
    const changeImage = (image: Uint8Array): Uint8Array => {
      const changed = image.slice();
      const offset = at(changed);
      changed[offset] = (changed[offset] ?? 0) ^ 1;
      return changed;
    };
    const end = runS390Guest('hello', { place: 'protected', changeImage });
    expect(end.console).not.toContain('hello');
    expect(statisticsOf(end).vmStates).toEqual({ hello: 'normal' });
    expect(statisticsOf(end).esmFailures).toEqual([{ vm: 'hello', reason: expect.stringMatching(failure) }]);
  });
});

function indexOf(bytes: Uint8Array, text: string): number {
  const at = Buffer.from(bytes).indexOf(text, 0, 'latin1');
  if (at < 0) throw new Error(`no ${text}`);
  return at;
}
