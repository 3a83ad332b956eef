import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { requireTool } from '../support/tools.ts';

const available = requireTool('script').available;

/** What to do once the screen shows something: type, or act on what stands there. */
type Step = readonly [seen: string, action: string | ((screen: string) => void)];

/** Runs a shell command on a terminal of its own. */
function onTerminal(command: string, ...steps: readonly Step[]): Promise<{ status: number | null; screen: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null']);
    const left = [...steps];
    let screen = '';
    let from = 0;
    child.stdout.on('data', (data) => {
      screen += data;
      for (let step = left[0]; step !== undefined && screen.includes(step[0], from); step = left[0]) {
        from = screen.indexOf(step[0], from) + step[0].length;
        if (typeof step[1] === 'string') child.stdin.write(step[1]);
        else step[1](screen);
        left.shift();
      }
    });
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, screen }));
  });
}

const READY = 'end with bye';
const ECHO = `'${process.execPath}' bin/cloister.js run guests/powerpc/echo.elf`;
const SETTINGS = "stty -a | grep -o -E -e '-?(icanon|echo|isig)\\b' | tr '\\n' ' '";
/** Shows the settings of the terminal before and after. */
const BETWEEN = `${SETTINGS}; sh -c "echo pid \\$\\$; exec ${ECHO}"; s=$?; ${SETTINGS}; exit $s`;

describe.skipIf(!available)('on a terminal', () => {
  it('keys go to the guest as they are, Ctrl-C too, and Ctrl-A begins keys of ours', async () => {
    const { status, screen } = await onTerminal(
      ECHO,
      [READY, 'a\x03b\r'],
      ['3: a\x03b', '\x01h'],
      ['send Ctrl-A', '\x01\x01\r'],
      ['1: \x01', '\x01x'],
    );
    expect(screen).toContain('cloister: Ctrl-A x       end the run\r\n');
    expect(screen).toMatch(/cloister: stopped: Ctrl-A x\r\n$/);
    expect(status).toBe(0);
  });

  it('who types Ctrl-C again and again is told, once, how the run ends', async () => {
    const { screen } = await onTerminal(ECHO, [READY, '\x03\x03\x03\r'], ['3: \x03\x03\x03', '\x01x']);
    expect(screen.match(/cloister: Ctrl-C goes to the guest; Ctrl-A x ends the run\r\n/g)).toHaveLength(1);
  });

  it.each<readonly [string, Step[1], number]>([
    ['Ctrl-A x', '\x01x', 0],
    ['the end of the guest', 'bye\r', 0],
    ['SIGTERM', (screen) => process.kill(Number(/pid (\d+)/.exec(screen)?.[1]), 'SIGTERM'), 143],
  ])('it is as before after %s', async (_, action, expected) => {
    const { status, screen } = await onTerminal(BETWEEN, [READY, action]);
    const [before, after] = screen.match(/(-?(icanon|echo|isig) ){3}/g) ?? [];
    expect(before).toMatch(/\bicanon/);
    expect(after).toBe(before);
    expect(status).toBe(expected);
  });

  it('progress is shown there while the guest is silent, and not where it is not wanted', async () => {
    const kernel = `'${process.execPath}' bin/cloister.js run --max-instructions 600000000 --interpret`;
    const guest = 'guests/powerpc/kernels/matrix.elf';
    const shown = await onTerminal(`${kernel} ${guest}`);
    expect(shown.screen).toContain('\r\x1b[Kcloister: ');
    expect(shown.screen).toMatch(/cloister: \d.*[MG] instructions, \d+ MIPS, normal/);
    expect(shown.status).toBe(3);
    const hidden = await onTerminal(`${kernel} --no-progress ${guest}`);
    expect(hidden.screen).toBe('start\r\ncloister: limit: 600000000 instructions\r\n');
  });
});
