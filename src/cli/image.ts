import type { Command } from 'commander';
import { addEsmb } from './image-esmb.ts';
import { addSe } from './image-se.ts';

/** Adds `cloister image`. */
export function addImage(program: Command, finish: (status: number) => void): void {
  const image = program.command('image').description('make, show and check images of protected VMs');
  addEsmb(image, finish);
  addSe(image, finish);
}
