import { describe, expect, it } from 'vitest';
import { CODE, ENGINES, prepare, runToEvent } from './programs.ts';
import { assemble } from './toy-isa.ts';

describe.each(ENGINES)('TLBs, %s', (_, translate) => {
  /** Reads page 3 over and over; `page` maps it, `read` gives what the program reads. */
  function reader(text = 'loop:\n ld 3,1,0,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1') {
    const p = prepare(translate, text);
    const { cpu, machine } = p;
    for (let n = 1; n <= 9; n++) machine.write(0x8000 + n * 4096 + 7, [n]);
    return {
      ...p,
      page: (n: number) => cpu.map(3, { ram: 8 + n }),
      read(): number {
        cpu.set(13, 0x3000);
        cpu.set(7, 8);
        cpu.pc = CODE;
        runToEvent(cpu);
        return Number(cpu.get(1));
      },
      walks(): number {
        const count = cpu.model.walks.filter((w) => w === 'load 0:0x3000').length;
        cpu.model.walks.length = 0;
        return count;
      },
    };
  }

  it('remember a translation until it is flushed', () => {
    const { cpu, page, read, walks } = reader();
    page(1);
    expect([read(), walks()]).toEqual([1, 1]);
    page(2);
    // Nobody has said that the mapping changed.
    expect([read(), walks()]).toEqual([1, 0]);
    cpu.context.tlb.flush();
    expect([read(), walks()]).toEqual([2, 1]);
    page(3);
    cpu.context.tlb.flushPage(0x3123);
    expect([read(), walks()]).toEqual([3, 1]);
    page(4);
    cpu.context.tlb.flushPage(0x4000);
    expect([read(), walks()]).toEqual([3, 0]);
  });

  it('are kept for each key', () => {
    const { cpu, page, read, walks } = reader();
    for (const n of [1, 2, 3]) {
      page(n);
      cpu.context.selectDataSpace(0, `key ${n}`);
      expect([read(), walks()]).toEqual([n, 1]);
    }
    for (const n of [2, 1, 3, 1]) {
      cpu.context.selectDataSpace(0, `key ${n}`);
      expect([read(), walks()]).toEqual([n, 0]);
    }
    cpu.context.tlb.flush();
    for (const n of [1, 3]) {
      page(n + 3);
      cpu.context.selectDataSpace(0, `key ${n}`);
      expect([read(), walks()]).toEqual([n + 3, 1]);
    }
  });

  it('are shared by address spaces of one key', () => {
    const { cpu, page, walks, read } = reader('loop:\n ld.1 1,0,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    page(5);
    cpu.context.selectDataSpace(0, 'both');
    cpu.context.selectDataSpace(1, 'both');
    const other = prepare(translate, '');
    expect(other.cpu.context.tlb).not.toBe(cpu.context.tlb);
    cpu.map(3, { ram: 13, space: 1 });
    expect(read()).toBe(5);
    expect(walks()).toBe(0);
  });

  it('forget the key that was used longest ago when there are too many', () => {
    const { cpu, page, read, walks } = reader();
    for (let n = 1; n <= 9; n++) {
      page(n);
      cpu.context.selectDataSpace(0, `key ${n}`);
      expect([read(), walks()]).toEqual([n, 1]);
    }
    cpu.context.selectDataSpace(0, 'key 9');
    expect([read(), walks()]).toEqual([9, 0]);
    page(2);
    cpu.context.selectDataSpace(0, 'key 1');
    expect([read(), walks()]).toEqual([2, 1]);
  });

  it('never give the TLB of one address space to the key of another', () => {
    const { cpu, page, read } = reader('loop:\n ld 3,1,0,13\n ld.1 2,0,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    cpu.map(3, { ram: 3, space: 1 });
    cpu.context.selectDataSpace(1, 'secret');
    // Space 1 stays with its key, while space 0 goes through more keys than there are TLBs.
    for (let round = 0; round < 3; round++) {
      for (let n = 1; n <= 9; n++) {
        page(n);
        cpu.context.selectDataSpace(0, `key ${round * 9 + n}`);
        expect(read()).toBe(n);
        expect(cpu.get(2)).toBe(0n);
      }
    }
  });

  it('let every address space have a key of its own', () => {
    const { cpu, page, read } = reader();
    for (let round = 0; round < 3; round++) {
      for (let space = 0; space < 8; space++) cpu.context.selectDataSpace(space, `${round}:${space}`);
      page(round + 1);
      expect(read()).toBe(round + 1);
    }
  });

  it('follow a mapping whose pages lie apart, in one piece, and in another piece', () => {
    // Steps through pages 8 to 15: reads a byte of each, and writes it back one higher.
    const { cpu, machine } = prepare(
      translate,
      'loop:\n ld 0,1,0,13\n addi 1,1,1\n st 0,1,1,13\n add 2,1\n addi 13,13,4096\n addi 7,7,-1\n cjne 7,0,loop\n trap 1',
      { ramPages: 64 },
    );
    const layouts: ((page: number) => number)[] = [
      (page) => 16 + page,
      (page) => 16 + (page ^ 5),
      (page) => 32 + page,
      (page) => (page < 13 ? 32 + page : 63 - page),
      (page) => (page < 10 ? 32 + page : 16 + page),
    ];
    for (const [round, place] of [...layouts, ...layouts].entries()) {
      const bytes: number[] = [];
      for (let page = 8; page < 16; page++) {
        cpu.map(page, { ram: place(page) });
        bytes.push(round * 10 + page);
        machine.write(place(page) * 4096, [round * 10 + page, 0]);
      }
      // Looked up anew so often that another distance becomes the usual one while entries with the old one are there.
      for (let turn = 0; turn < 16; turn++) {
        if (turn % 2 === 0) cpu.context.tlb.flush();
        cpu.set(2, 0);
        cpu.set(7, 8);
        cpu.set(13, 0x8000);
        cpu.pc = CODE;
        runToEvent(cpu);
        expect(cpu.get(2), `layout ${round}`).toBe(BigInt(bytes.reduce((sum, byte) => sum + byte + 1, 0)));
      }
      for (let page = 8; page < 16; page++) {
        expect(machine.memory[place(page) * 4096 + 1], `layout ${round}, page ${page}`).toBe(round * 10 + page + 1);
      }
    }
  });

  it('keep a page read-only among pages mapped in one piece', () => {
    const { cpu } = prepare(
      translate,
      'loop:\n ld 0,1,0,13\n addi 13,13,4096\n addi 7,7,-1\n cjne 7,0,loop\n st 0,1,0,12\n trap 1',
    );
    for (let page = 8; page < 16; page++) cpu.map(page, { write: page !== 12 });
    for (const target of [0x9000, 0xc000, 0x9000, 0xc000]) {
      cpu.set(7, 8);
      cpu.set(13, 0x8000);
      cpu.set(12, target);
      cpu.pc = CODE;
      runToEvent(cpu);
      expect(cpu.model.events.pop()).toMatch(target === 0xc000 ? /^store fault at 0xc000/ : /^trap 1/);
    }
  });

  it('distinguish pages that share an entry', () => {
    const { cpu, machine } = prepare(
      translate,
      'loop:\n ld 3,1,0,13\n ld 3,2,0,12\n add 3,1\n add 3,2\n addi 7,7,-1\n cjne 7,0,loop\n trap 1',
    );
    // 1024 entries: pages 3 and 1027 fight for one; so do the same low halves with other high halves.
    cpu.map(1027, { ram: 9 });
    machine.write(0x3007, [1]);
    machine.write(0x9007, [100]);
    cpu.set(13, 0x3000);
    cpu.set(12, 0x403000);
    cpu.set(7, 10);
    runToEvent(cpu);
    expect(cpu.get(3)).toBe(1010n);
    cpu.map(0x100003, { ram: 9 });
    cpu.set(12, 0x1_0000_3000n);
    cpu.set(7, 10);
    cpu.pc = CODE;
    runToEvent(cpu);
    expect(cpu.get(3)).toBe(2020n);
  });

  it('give up the right to write with the page that it was for', () => {
    const { cpu, machine } = prepare(
      translate,
      'loop:\n st 3,7,0,13\n ld 3,1,0,12\n st 3,7,8,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1',
    );
    // The two pages share an entry of the TLB. The second may not be written, so nothing takes the place of the right to write the first.
    cpu.map(1027, { ram: 9, write: false });
    cpu.set(13, 0x3000);
    cpu.set(12, 0x403000);
    cpu.set(7, 10);
    runToEvent(cpu);
    expect(machine.read(0x3000, 16)).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(machine.read(0x9000, 16)).toEqual(new Array<number>(16).fill(0));
  });

  it('know that reading a page is not writing it', () => {
    const { cpu } = prepare(translate, 'loop:\n ld 3,1,0,13\n addi 7,7,-1\n cjne 7,0,loop\n st 3,1,0,13');
    cpu.map(3, { write: false });
    cpu.set(13, 0x3000);
    cpu.set(7, 10);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['store fault at 0x3000, pc 0x100e']);
  });

  it('are asked for the exact bytes of an access on each of its pages', () => {
    const { cpu } = prepare(translate, ' ld 3,1,0,13\n st 2,1,0,12\n trap 1');
    cpu.set(13, 0x3ffb);
    cpu.set(12, 0x4fff);
    runToEvent(cpu);
    expect(cpu.model.walks.filter((w) => !w.startsWith('fetch'))).toEqual([
      'load 0:0x3ffb',
      'load 0:0x4000',
      'store 0:0x4fff',
      'store 0:0x5000',
    ]);
  });
});

describe.each(ENGINES)('fetch spaces, %s', (_, translate) => {
  it('keep code of the same address apart', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n inc 1,1\n bc 1,0,loop');
    machine.write(0x9000, assemble(0x1000, 'loop:\n inc 2,1\n bc 1,0,loop').bytes);
    for (let round = 0; round < 10; round++) {
      const ram = round % 2 === 0 ? 1 : 9;
      cpu.map(1, { ram });
      cpu.context.selectFetchSpace(`ram ${ram}`);
      cpu.run(20);
    }
    expect([cpu.get(1), cpu.get(2)]).toEqual([50n, 50n]);
    // Each was fetched once; a translator reads code on its own account.
    const fetches = cpu.model.walks.filter((w) => w === 'fetch 0:0x1000').length;
    if (!translate) expect(fetches).toBe(2);
  });

  it('are recycled when there are too many', () => {
    const { cpu, machine } = prepare(translate, '');
    for (let n = 1; n <= 10; n++) {
      machine.write((9 + n) * 4096, assemble(0x1000, `loop:\n inc 1,${n}\n bc 1,0,loop`).bytes);
    }
    let expected = 0n;
    for (let round = 0; round < 30; round++) {
      const n = 1 + ((round * 7) % 10);
      cpu.map(1, { ram: 9 + n });
      cpu.context.selectFetchSpace(`code ${n}`);
      cpu.pc = 0x1000;
      cpu.run(20);
      expected += BigInt(10 * n);
      expect(cpu.get(1)).toBe(expected);
    }
  });
});
