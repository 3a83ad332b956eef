import { it } from 'vitest';
import { prepare } from './programs.ts';
it('x', () => {
  const { cpu } = prepare(true, 'loop:\n inc 3,1\n inc 4,1\n add 2,1\n inc 5,1\n bc 1,0,loop');
  cpu.run(100);
  for (let i = 1; i < 8; i++) console.log(i, cpu.run(i), cpu.pc.toString(16));
});
