import { describe, expect, test } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { MSR, SMFCTRL, SPR, SRR1 } from '../../../src/powerpc/abi.ts';
import { NATIVE_INSTRUCTIONS } from '../../../src/powerpc/cpu/native-levels.ts';
import { type NativeLevel, PrivilegeRefused, type RegisterPort, type Stub } from '../../../src/powerpc/cpu/port.ts';
import { ASM, HV_STUBS, LEVEL, TestMachine, UV_STUBS } from './machine.ts';

const { SF, HV, S, ME, LE, EE } = MSR;

/** Native code that does what the test wrote down, one step for each entry, and notes how it was entered. */
class Scripted implements NativeLevel {
  readonly entries: bigint[] = [];
  readonly #steps: ((port: RegisterPort) => Stub)[];

  constructor(...steps: ((port: RegisterPort) => Stub)[]) {
    this.#steps = steps;
  }

  enter(port: RegisterPort, nia: bigint): Stub {
    this.entries.push(nia);
    const step = this.#steps.shift();
    if (step === undefined) throw new Error(`the script has no step for an entry at 0x${nia.toString(16)}`);
    return step(port);
  }
}

const HV_PAGE = 0x8000000000000000n | BigInt(HV_STUBS);
const UV_PAGE = 0x8000000000000000n | BigInt(UV_STUBS);

function machine(hypervisor: NativeLevel, ultravisor: NativeLevel): TestMachine {
  const m = new TestMachine({
    native: {
      hypervisor: { level: hypervisor, stubPage: HV_STUBS },
      ultravisor: { level: ultravisor, stubPage: UV_STUBS },
    },
  });
  m.setSpr('SMFCTRL', SMFCTRL.E);
  m.cpu.place(LEVEL.hypervisor, 0n);
  return m;
}

const hrfid = (port: RegisterPort): Stub => {
  expect(port.stubPage).toBe(HV_PAGE);
  return 'hrfid';
};

/** Back to where a system call came from. */
const returnFromCall = (port: RegisterPort): Stub => {
  port.setSpr(SPR.USRR0, port.spr(SPR.SRR0));
  port.setSpr(SPR.USRR1, port.spr(SPR.SRR1) & ~SRR1.STATUS);
  return 'urfid';
};

describe('design, “Who executes what”: native levels', () => {
  test('boot, ultracall by stub, return to the stub, entry of a guest, hypercall', () => {
    const uv = new Scripted(
      (port) => {
        port.setSpr(SPR.USRR0, 0x100n);
        port.setSpr(SPR.USRR1, SF | HV | ME);
        return 'urfid';
      },
      (port) => {
        expect(port.gpr(3)).toBe(0xf104n);
        expect(port.msr() & (HV | S)).toBe(HV | S);
        expect(port.stubPage).toBe(UV_PAGE);
        port.setGpr(3, 0n);
        return returnFromCall(port);
      },
    );
    const hv = new Scripted(
      (port) => {
        port.setGpr(3, 0xf104n);
        return 'ultracall';
      },
      (port) => {
        expect(port.gpr(3)).toBe(0n);
        port.setSpr(SPR.LPCR, 0x500000n);
        port.setSpr(SPR.LPIDR, 1n);
        port.setSpr(SPR.HSRR0, 0x4000n);
        port.setSpr(SPR.HSRR1, SF | ME);
        return hrfid(port);
      },
      (port) => {
        expect(port.spr(SPR.SRR0)).toBe(0x4004n);
        expect(port.spr(SPR.SRR1)).toBe(SF | ME | SRR1.LEV1);
        return 'stop';
      },
    );
    const m = new TestMachine({
      native: { hypervisor: { level: hv, stubPage: HV_STUBS }, ultravisor: { level: uv, stubPage: UV_STUBS } },
    });
    m.identity();
    m.code(0x4000, ASM.sc(1));
    m.cpu.powerOn();
    m.setSpr('PTCR', m.partitionTable);
    m.cpu.run(10_000);
    expect(m.cpu.waiting).toBe(true);
    expect(uv.entries).toEqual([0x100n, 0xc00n]);
    expect(hv.entries).toEqual([0x100n, HV_PAGE + 0x24n, 0xc00n]);
    const levels = m.trace.ofType('level-enter').map(({ level, cause, nia }) => [level, cause, nia]);
    expect(levels).toEqual([
      ['ultravisor', 'boot', 0x100n],
      ['hypervisor', 'return', 0x100n],
      ['ultravisor', 'trap', 0xc00n],
      ['hypervisor', 'return', HV_PAGE + 0x24n],
      ['guest', 'return', 0x4000n],
      ['hypervisor', 'trap', 0xc00n],
    ]);
    // Five handlers; urfid, sc 2, urfid, hrfid, sc 1, stop.
    expect(m.clock.now).toBe(5 * NATIVE_INSTRUCTIONS + 6);
  });

  test('a wake-up from the stop stub enters the level at the stub + 4', () => {
    const hv = new Scripted(
      () => 'stop',
      () => {
        m.cpu.lines.external = false;
        return 'stop';
      },
    );
    const m = machine(hv, new Scripted());
    m.cpu.run(1000);
    expect(m.cpu.waiting).toBe(true);
    m.cpu.lines.external = true;
    m.cpu.run(1000);
    expect(hv.entries).toEqual([0n, HV_PAGE + 0x34n]);
  });

  test('with an interrupt that may come in, it enters at the vector', () => {
    const hv = new Scripted(
      () => 'stop',
      () => 'stop',
    );
    const m = machine(hv, new Scripted());
    m.cpu.place(LEVEL.hypervisor | EE, 0n);
    m.cpu.run(1000);
    m.cpu.lines.external = true;
    m.cpu.settle();
    expect(hv.entries).toEqual([0n, 0x500n]);
  });

  test('nothing comes between a handler and its stub', () => {
    const hv = new Scripted(() => 'stop');
    const m = machine(hv, new Scripted());
    m.cpu.settle();
    m.cpu.lines.systemReset = true;
    m.cpu.settle();
    expect(m.cpu.context.pc).toBe(HV_PAGE + 0x30n);
  });

  test('handlers are charged exactly, also where a slice ends in one', () => {
    const hv = new Scripted(
      (port) => {
        port.setSpr(SPR.HSRR0, 0n);
        port.setSpr(SPR.HSRR1, SF | HV | ME);
        return 'hrfid';
      },
      () => 'stop',
    );
    const m = machine(hv, new Scripted());
    const executed = Array.from({ length: 300 }, () => m.cpu.run(1));
    expect(executed.reduce((x, y) => x + y)).toBe(2 * NATIVE_INSTRUCTIONS + 2);
    expect(Math.max(...executed)).toBe(1);
    expect(hv.entries).toEqual([0n, 0n]);
  });

  test('the stubs are there in both byte orders', () => {
    const hv = new Scripted(
      (port) => {
        expect(port.stubPage).toBe(HV_PAGE + 0x40n);
        port.setSpr(SPR.HSRR0, 0x200n);
        port.setSpr(SPR.HSRR1, SF | HV | ME);
        return 'hrfid';
      },
      () => 'stop',
    );
    const m = machine(hv, new Scripted());
    m.cpu.place(LEVEL.hypervisor | LE, 0n);
    m.cpu.run(1000);
    expect(hv.entries).toEqual([0n, 0x200n]);
  });

  test('the first entry can be a handler of its own', () => {
    const hv = new Scripted();
    const booted: bigint[] = [];
    const m = new TestMachine({
      secureMemory: false,
      native: {
        hypervisor: {
          level: hv,
          stubPage: HV_STUBS,
          boot: (port) => {
            booted.push(port.clock);
            return 'stop';
          },
        },
      },
    });
    m.cpu.powerOn();
    m.cpu.run(1000);
    expect(booted).toEqual([0n]);
    expect(hv.entries).toEqual([]);
  });

  test('a return within machine code of one level is no entry', () => {
    const m = new TestMachine();
    m.setSpr('SRR0', 0x5000n);
    m.setSpr('SRR1', LEVEL.hypervisor);
    m.cpu.place(LEVEL.hypervisor, 0x4000n);
    m.trace.events.length = 0;
    m.step(LEVEL.hypervisor, ASM.rfid);
    expect(m.trace.ofType('level-enter').map(({ cause }) => cause)).toEqual(['boot']);
  });
});

describe('RegisterPort', () => {
  const refusals = (hypervisor: (port: RegisterPort) => void): TestMachine => {
    const m = machine(
      new Scripted((port) => {
        hypervisor(port);
        return 'stop';
      }),
      new Scripted(),
    );
    m.cpu.settle();
    return m;
  };

  test('sheet 1.6: what was granted once is judged anew when SMFCTRL[D] changes', () => {
    const answers: string[] = [];
    const attempt = (port: RegisterPort): Stub => {
      for (const read of [() => port.spr(SPR.CIABR), () => port.setSpr(SPR.DAWR0, 0x1000n)]) {
        try {
          read();
          answers.push('granted');
        } catch (error) {
          answers.push(error instanceof PrivilegeRefused ? 'refused' : String(error));
        }
      }
      return 'stop';
    };
    const m = machine(new Scripted(attempt, attempt, attempt), new Scripted());
    for (const smfctrl of [SMFCTRL.E, SMFCTRL.E | SMFCTRL.D, SMFCTRL.E]) {
      m.setSpr('SMFCTRL', smfctrl);
      m.cpu.place(LEVEL.hypervisor, 0n);
      m.cpu.settle();
    }
    expect(answers).toEqual(['granted', 'granted', 'refused', 'refused', 'granted', 'granted']);
  });

  test('sheet 1.8: the Ultravisor’s registers are refused to the hypervisor, with an event', () => {
    const m = refusals((port) => {
      expect(() => port.spr(SPR.USRR0)).toThrow(PrivilegeRefused);
      expect(() => port.setSpr(SPR.PTCR, 0n)).toThrow(PrivilegeRefused);
      expect(() => port.setSpr(SPR.SMFCTRL, 0n)).toThrow(PrivilegeRefused);
      expect(port.spr(SPR.PTCR)).toBe(0n);
    });
    expect(m.trace.ofType('note').map(({ text }) => text)).toEqual([
      'hypervisor: this privilege level may not read SPR 506',
      'hypervisor: this privilege level may not write SPR 464',
      'hypervisor: this privilege level may not write SPR 511',
    ]);
  });

  test('numbers that are no register are a mistake of ours', () => {
    refusals((port) => {
      expect(() => port.spr(1000)).toThrow(RangeError);
      expect(() => port.setSpr(1000, 0n)).toThrow(RangeError);
    });
  });

  test('registers', () => {
    refusals((port) => {
      port.setGpr(7, 0xfffffffffffffff7n);
      port.setFpr(9, 0x3ff0000000000000n);
      port.setCr(0x80000001);
      port.setSpr(SPR.XER, 0x20000000n);
      expect([port.gpr(7), port.fpr(9)]).toEqual([0xfffffffffffffff7n, 0x3ff0000000000000n]);
      expect(port.cr()).toBe(0x80000001);
      expect(port.spr(SPR.XER)).toBe(0x20000000n);
      expect(port.msr()).toBe(LEVEL.hypervisor);
      expect(port.cpu).toBe(0);
    });
  });

  test('invalidateTranslations reaches every CPU', () => {
    const m = refusals((port) => port.invalidateTranslations(3));
    expect(m.flushes).toBe(1);
  });

  test('it is dead once the level was left', () => {
    let kept: RegisterPort | undefined;
    refusals((port) => {
      kept = port;
    });
    expect(() => kept?.gpr(3)).toThrow('has left');
    expect(() => kept?.setSpr(SPR.LPCR, 0n)).toThrow('has left');
  });
});

test('a stub page must be RAM of the level’s own kind', () => {
  const level = new Scripted();
  expect(() => new TestMachine({ native: { ultravisor: { level, stubPage: HV_STUBS } } })).toThrow(RangeError);
  expect(() => new TestMachine({ native: { hypervisor: { level, stubPage: UV_STUBS } } })).toThrow(RangeError);
  const nowhere = 0x10000000 as RealAddress;
  expect(() => new TestMachine({ native: { hypervisor: { level, stubPage: nowhere } } })).toThrow(RangeError);
});
