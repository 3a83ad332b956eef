import { describe, expect, it } from 'vitest';
import { Guest } from './machine.ts';

const BLOCK = 0x20000;
const TEXTS = 0x30000;
const BUFFER = 0x40000;
const ERROR = -1;
/** R3 of H_VOF_CLIENT, results. */
type Result = readonly [number, ...number[]];

/**
 * A client of the firmware. A string argument is put into memory and its address passed. What a result is compared with was measured on
 * QEMU 7.2 (`-M pseries,x-vof=on -m 256M -initrd 100000 bytes -append hello=1`) by a guest that made the same calls.
 */
class Client {
  readonly g: Guest;

  constructor(options: ConstructorParameters<typeof Guest>[0] = {}) {
    this.g = new Guest({
      cmdline: 'hello=1',
      memory: 256 * 2 ** 20,
      initrd: { file: 'initrd', bytes: new Uint8Array(100000) },
      ...options,
    });
  }

  call(service: string, args: readonly (number | string)[], nret = 1): Result {
    const { g } = this;
    let text = TEXTS;
    const put = (value: string): number => {
      g.string(text, value);
      text += value.length + 1;
      return text - value.length - 1;
    };
    const name = put(service);
    const words = args.map((arg) => (typeof arg === 'string' ? put(arg) : arg));
    g.words(BLOCK, name, args.length, nret, ...words, ...new Array<number>(nret).fill(0x5a5a5a5a));
    const status = g.call('H_VOF_CLIENT', [BLOCK]);
    return [status, ...g.readWords(BLOCK + 12 + 4 * args.length, nret)];
  }

  one(service: string, ...args: readonly (number | string)[]): number {
    const [status, result] = this.call(service, args);
    expect(status).toBe(0);
    return result;
  }

  property(phandle: number, name: string): Uint8Array | undefined {
    const length = this.one('getprop', phandle, name, BUFFER, 4096);
    return length === ERROR ? undefined : this.g.spapr.memory.read(this.g.vm, BUFFER, length);
  }

  text(length: number): string {
    return new TextDecoder().decode(this.g.spapr.memory.read(this.g.vm, BUFFER, length));
  }
}

describe('walking the tree', () => {
  const c = new Client();
  const root = c.one('peer', 0);
  const chosen = c.one('finddevice', '/chosen');
  const memory = c.one('finddevice', '/memory');

  it('the root has the phandle after that of QEMU’s interrupt controller', () => {
    expect(root).toBe(0x1112);
    expect(c.one('finddevice', '/')).toBe(root);
  });

  it.each([
    ['/nonsense', ERROR],
    ['chosen', ERROR],
    ['', ERROR],
    ['/vdevice/VTY@71000000', ERROR],
  ])('finddevice %o: %i', (path, result) => {
    expect(c.one('finddevice', path)).toBe(result);
  });

  it.each(['/chosen/', '//chosen'])('finddevice %o finds it', (path) => {
    expect(c.one('finddevice', path)).toBe(chosen);
  });

  it('a unit address may be in capitals', () => {
    expect(c.one('finddevice', '/cpus/PowerPC,POWER9@0')).not.toBe(ERROR);
    const big = new Client({ cpus: 11 });
    expect(big.one('finddevice', '/cpus/PowerPC,POWER9@A')).toBe(big.one('finddevice', '/cpus/PowerPC,POWER9@a'));
  });

  it('wrong numbers of arguments or results, and unknown services, fail', () => {
    expect(c.call('finddevice', ['/chosen', 0])).toEqual([0, ERROR]);
    expect(c.call('finddevice', ['/chosen'], 2)).toEqual([0, ERROR, 0]);
    expect(c.call('nosuch', [])).toEqual([0, ERROR]);
    expect(c.call('nosuch', [], 0)).toEqual([0]);
    expect(c.call('constructor', [])).toEqual([0, ERROR]);
  });

  it('peer, child and parent give 0 where there is none', () => {
    expect(c.one('peer', root)).toBe(0);
    expect(c.one('peer', 0x9999)).toBe(0);
    expect(c.one('child', chosen)).toBe(0);
    expect(c.one('parent', chosen)).toBe(root);
    expect(c.one('parent', root)).toBe(0);
    expect(c.one('parent', 0)).toBe(0);
  });

  it('child and peer reach every node, each of which finds its way back', () => {
    const paths: string[] = [];
    const visit = (phandle: number) => {
      const length = c.one('package-to-path', phandle, BUFFER, 256);
      const path = c.text(length - 1);
      paths.push(path);
      expect(c.one('finddevice', path)).toBe(phandle);
      for (let child = c.one('child', phandle); child !== 0; child = c.one('peer', child)) visit(child);
    };
    visit(root);
    expect(paths).toContain('/memory@0');
    expect(paths).toContain('/vdevice/vty@71000000');
    expect(new Set(paths).size).toBe(paths.length);
  });

  it('getprop gives the whole length and writes what fits', () => {
    expect(c.one('getprop', chosen, 'bootargs', BUFFER, 100)).toBe(8);
    expect(c.text(8)).toBe('hello=1\0');
    c.g.string(BUFFER, 'xxxxxxxx');
    expect(c.one('getprop', chosen, 'bootargs', BUFFER, 3)).toBe(8);
    expect(c.text(8)).toBe('helxxxxx');
    expect(c.one('getprop', chosen, 'nosuch', BUFFER, 100)).toBe(ERROR);
    expect(c.one('getprop', 0, 'name', BUFFER, 100)).toBe(ERROR);
    expect(c.one('getprop', chosen, 'bootargs', 0xfffffff0, 100)).toBe(ERROR);
    expect(c.one('getproplen', chosen, 'bootargs')).toBe(8);
    expect(c.one('getproplen', chosen, 'nosuch')).toBe(ERROR);
  });

  it('name is made of the node’s name, without unit address', () => {
    expect(c.one('getprop', chosen, 'name', BUFFER, 100)).toBe(7);
    expect(c.one('getprop', memory, 'name', BUFFER, 100)).toBe(7);
    expect(c.text(7)).toBe('memory\0');
    expect(c.one('getproplen', chosen, 'name')).toBe(7);
  });

  it('nextprop goes through all properties', () => {
    const names: string[] = [];
    for (let name = ''; ; ) {
      const result = c.one('nextprop', chosen, name, BUFFER);
      if (result === 0) break;
      expect(result).toBe(1);
      name = c.text(64).split('\0')[0];
      names.push(name);
    }
    expect(names).toContain('bootargs');
    expect(names).toContain('stdout');
    expect(c.one('nextprop', chosen, 'nosuch', BUFFER)).toBe(0);
    expect(c.one('nextprop', 0x9999, '', BUFFER)).toBe(0);
  });

  it('paths of instances and packages', () => {
    const stdout = new DataView((c.property(chosen, 'stdout') as Uint8Array).buffer).getUint32(0);
    expect(stdout).toBe(1);
    expect(c.one('instance-to-path', stdout, BUFFER, 100)).toBe(0x16);
    expect(c.text(0x16)).toBe('/vdevice/vty@71000000\0');
    expect(c.one('instance-to-path', stdout, BUFFER, 3)).toBe(0x16);
    expect(c.one('instance-to-path', 99, BUFFER, 100)).toBe(ERROR);
    expect(c.one('package-to-path', memory, BUFFER, 100)).toBe(0xa);
    expect(c.one('package-to-path', root, BUFFER, 100)).toBe(2);
    expect(c.one('package-to-path', 0x9999, BUFFER, 100)).toBe(ERROR);
  });
});

describe('setprop', () => {
  it('takes any property of any node; initrd addresses only as one or two cells', () => {
    const c = new Client();
    const chosen = c.one('finddevice', '/chosen');
    const rtas = c.one('finddevice', '/rtas');
    expect(c.one('setprop', chosen, 'foo', 'abc', 4)).toBe(4);
    expect(c.one('getprop', chosen, 'foo', BUFFER, 100)).toBe(4);
    expect(c.one('setprop', chosen, 'bootargs', 'new', 4)).toBe(4);
    expect(c.property(chosen, 'bootargs')).toEqual(new TextEncoder().encode('new\0'));
    c.g.words(BUFFER, 0x1200);
    expect(c.one('setprop', rtas, 'linux,rtas-base', BUFFER, 4)).toBe(4);
    expect(c.one('setprop', rtas, 'x', BUFFER, 4)).toBe(4);
    expect(c.one('setprop', chosen, 'linux,initrd-end', BUFFER, 3)).toBe(ERROR);
    expect(c.one('setprop', chosen, 'big', BUFFER, 2049)).toBe(ERROR);
    expect(c.one('setprop', 0x9999, 'x', BUFFER, 4)).toBe(ERROR);
  });
});

describe('open and close', () => {
  it('instances count up from the console; closed ones are gone', () => {
    const c = new Client();
    const root = c.one('finddevice', '/');
    expect(c.one('open', '/')).toBe(2);
    expect(c.one('open', '/nonsense')).toBe(ERROR);
    expect(c.one('instance-to-package', 2)).toBe(root);
    expect(c.one('instance-to-package', 99)).toBe(ERROR);
    expect(c.call('close', [99], 0)).toEqual([0]);
    expect(c.call('close', [2], 0)).toEqual([0]);
    expect(c.one('instance-to-package', 2)).toBe(ERROR);
  });

  it('write goes to the trace, not to the console, and gives 0', () => {
    const c = new Client();
    expect(c.one('write', 1, 'hello\n', 6)).toBe(0);
    expect(c.one('write', 99, 'hello\n', 6)).toBe(ERROR);
    expect(c.one('write', 1, 0, 0xffffffff)).toBe(ERROR);
    expect(c.g.console.written()).toHaveLength(0);
    expect(c.g.trace.ofType('note').map(({ text }) => text)).toEqual(['Open Firmware write: "hello\\n"']);
  });
});

describe('claim and release', () => {
  /** Pairs of start and size. */
  function available(c: Client): [number, number][] {
    const value = c.property(c.one('finddevice', '/memory'), 'available') as Uint8Array;
    const view = new DataView(value.buffer);
    return Array.from({ length: value.length / 16 }, (_, i) => [
      Number(view.getBigUint64(16 * i)),
      Number(view.getBigUint64(16 * i + 8)),
    ]);
  }

  it('what is available at the start', () => {
    // QEMU with a kernel of 0x2dd8 bytes: the third range begins behind it.
    expect(available(new Client())).toEqual([
      [0xda0, 0x7260],
      [0x10000, 0x3f0000],
      [0x400004, 0x1fffc],
      [0x4386a0, 0xfbc7960],
    ]);
  });

  it('aligned claims go behind everything that was claimed', () => {
    const c = new Client();
    expect(c.one('claim', 0, 0x1000, 0x1000)).toBe(0x439000);
    expect(c.one('claim', 0, 0x1000, 0x10000)).toBe(0x440000);
    expect(c.one('claim', 0x400000, 0x1000, 0)).toBe(ERROR);
    expect(c.one('claim', 0x800000, 0x1000, 0)).toBe(0x800000);
    expect(c.one('claim', 0x800800, 0x1000, 0)).toBe(ERROR);
    expect(c.one('claim', 0, 0, 0x1000)).toBe(ERROR);
    expect(c.one('claim', 0, 0x1000, 3)).toBe(0x801000);
    expect(available(c).slice(3)).toEqual([
      [0x4386a0, 0x960],
      [0x43a000, 0x6000],
      [0x441000, 0x3bf000],
      [0x801000, 0],
      [0x802000, 0x10000000 - 0x802000],
    ]);
    expect(c.call('release', [0x800000, 0x1000])).toEqual([0, 0]);
    expect(c.call('release', [0x800000, 0x1000])).toEqual([0, ERROR]);
    expect(c.call('release', [0x800000, 0x1000], 0)).toEqual([0]);
    expect(c.one('claim', 0x800000, 0x1000, 0)).toBe(0x800000);
  });

  it('more than there is cannot be claimed (QEMU gives an address beyond memory, or aborts)', () => {
    const c = new Client();
    expect(c.one('claim', 0, 0x40000000, 0x1000)).toBe(ERROR);
    expect(c.one('claim', 0xfffff000, 0x2000, 0)).toBe(ERROR);
    expect(c.one('claim', 0x10000000, 0x1000, 0)).toBe(ERROR);
  });
});

describe('methods', () => {
  it('instantiate-rtas copies the text, whatever the instance', () => {
    const c = new Client();
    expect(c.call('call-method', ['instantiate-rtas', 3, 0x900000], 2)).toEqual([0, 0, 0x900000]);
    expect(c.g.readWords(0x900000, 6)).toEqual([0x7c641b78, 0x3c600000, 0x6063f000, 0x44000022, 0x4e800020, 0]);
    expect(c.call('call-method', ['instantiate-rtas', 99, 0x910000], 2)).toEqual([0, 0, 0x910000]);
  });

  it('unknown methods, and interpret, fail', () => {
    const c = new Client();
    expect(c.call('call-method', ['nomethod', 1, 0], 2)).toEqual([0, ERROR, 0]);
    expect(c.call('call-method', [], 2)).toEqual([0, ERROR, 0]);
    expect(c.call('interpret', ['foo'], 2)).toEqual([0, ERROR, 0]);
  });

  it('ibm,client-architecture-support agrees on radix and builds the tree anew', () => {
    const c = new Client();
    const chosen = c.one('finddevice', '/chosen');
    expect(c.property(chosen, 'ibm,architecture-vec-5')).toEqual(Uint8Array.of(0, 0));
    c.one('setprop', chosen, 'bootargs', 'new', 4);
    c.one('setprop', chosen, 'foo', 'abc', 4);
    c.g.words(BUFFER, 0x500000);
    c.one('setprop', chosen, 'linux,initrd-start', BUFFER, 4);

    const vec5 = new Array<number>(28).fill(0);
    vec5[0] = 26;
    vec5[24] = 0x40;
    vec5[26] = 0x40;
    c.g.spapr.memory.write(
      c.g.vm,
      0x50000,
      Uint8Array.of(
        ...[0xff, 0xff, 0, 0, 0, 0x4e, 0, 0],
        ...[0xff, 0xff, 0xff, 0xfe, 0x0f, 0, 0, 5],
        ...[4, 0, 0, 1, 1, 2, 0, 0, 1, 2, 3],
        ...vec5,
      ),
    );
    const root = c.one('open', '/');
    expect(c.call('call-method', ['ibm,client-architecture-support', root, 0x50000], 2)).toEqual([0, 0, 0]);
    expect(c.one('finddevice', '/chosen')).toBe(chosen);
    // QEMU, less its memory hot-plug bit in byte 2.
    const agreed = new Array<number>(27).fill(0);
    agreed[0] = 25;
    agreed[24] = 0x40;
    agreed[26] = 0x40;
    expect([...(c.property(chosen, 'ibm,architecture-vec-5') as Uint8Array)]).toEqual(agreed);
    expect(c.property(chosen, 'bootargs')).toEqual(new TextEncoder().encode('new\0'));
    expect(c.property(chosen, 'foo')).toBeUndefined();
    expect(c.property(chosen, 'linux,initrd-start')).toEqual(Uint8Array.of(0, 0x50, 0, 0));
    expect(c.property(chosen, 'stdout')).toEqual(Uint8Array.of(0, 0, 0, root + 1));
    expect(c.one('instance-to-path', 1, BUFFER, 100)).toBe(0x16);
  });

  it('of another instance than the root it fails', () => {
    const c = new Client();
    expect(c.call('call-method', ['ibm,client-architecture-support', 1, 0x50000], 2)).toEqual([0, ERROR, 0]);
  });
});

describe('the end', () => {
  it('quiesce changes nothing; exit stops the VM', () => {
    const c = new Client();
    expect(c.call('quiesce', [], 0)).toEqual([0]);
    expect(c.one('finddevice', '/chosen')).not.toBe(ERROR);
    expect(c.call('milliseconds', [])).toEqual([0, 0]);
    c.g.words(BLOCK, TEXTS, 0, 0);
    c.g.string(TEXTS, 'exit');
    expect(c.g.call('H_VOF_CLIENT', [BLOCK])).toBeNaN();
    expect(c.g.vm.end).toEqual({ kind: 'stopped', detail: 'Open Firmware exit' });
  });
});

describe('a call that cannot be read', () => {
  it.each([
    ['too many arguments', [TEXTS, 10, 0]],
    ['too many results', [TEXTS, 5, 6]],
    ['more arguments than a word holds', [TEXTS, 0xffffffff, 1]],
    ['a service outside of memory', [0xf0000000, 0, 1]],
  ])('is H_PARAMETER: %s', (_name, words) => {
    const c = new Client();
    c.g.string(TEXTS, 'peer');
    c.g.words(BLOCK, ...words);
    expect(c.g.call('H_VOF_CLIENT', [BLOCK])).toBe(-4);
  });

  it('is H_PARAMETER: a block outside of memory, a service without an end', () => {
    const c = new Client();
    expect(c.g.call('H_VOF_CLIENT', [0x10000000])).toBe(-4);
    c.g.string(TEXTS, 'x'.repeat(64));
    c.g.words(BLOCK, TEXTS, 0, 1);
    expect(c.g.call('H_VOF_CLIENT', [BLOCK])).toBe(-4);
  });
});
