import { generateKeyPairSync } from 'node:crypto';
import type { Command } from 'commander';
import { readRsaPrivateKey, rsaBits, writeRsaPublicKey } from '../crypto/rsa-key.ts';
import { DEVELOPMENT_KEY } from '../powerpc/ultravisor/development-key.ts';
import { print } from './console-output.ts';
import { UsageError } from './exit-status.ts';
import { readKeyFile } from './key-files.ts';
import { writeNewFile } from './new-file.ts';
import { say } from './say.ts';

const HELP = `
An RSA pair is what an ESM blob of IBM Power needs: the blob is made for the public keys of machines, and a machine with
the private key ("cloister run --uv-key") starts what the blob proves.

  cloister keys rsa machine                writes machine.pem (private, for you alone) and machine.pub.pem
  cloister keys public machine.pem         the public half of a private key
  cloister keys development                the public key of a machine that was given no key; its private half is known
                                           to everybody who has Cloister, so it protects nothing`;

/** Adds `cloister keys`. */
export function addKeys(program: Command): void {
  const keys = program.command('keys').description('make key pairs as PEM files').addHelpText('after', HELP);
  keys
    .command('rsa')
    .description('make an RSA key pair: NAME.pem and NAME.pub.pem')
    .argument('<name>', 'what the two files begin with')
    .option('--bits <n>', 'size of the modulus: 2048, 3072 or 4096; lockboxes of the firmware have 2048', '2048')
    .option('--force', 'write over files that are there')
    .action((name: string, options: { bits: string; force?: boolean }) => makeRsa(name, options));
  keys
    .command('public')
    .description('write the public half of a private RSA key')
    .argument('<private.pem>', 'the private key')
    .option('--out <file>', 'where to; standard output by default')
    .option('--force', 'write over a file that is there')
    .action((file: string, options: { out?: string; force?: boolean }) => {
      putOut(writeRsaPublicKey(readKeyFile(file, readRsaPrivateKey).key), options);
    });
  keys
    .command('development')
    .description('write the public key of a machine that was given no key')
    .option('--private', 'the private key')
    .option('--out <file>', 'where to; standard output by default')
    .option('--force', 'write over a file that is there')
    .action((options: { private?: boolean; out?: string; force?: boolean }) => {
      const pem = options.private === true ? DEVELOPMENT_KEY : writeRsaPublicKey(readRsaPrivateKey(DEVELOPMENT_KEY));
      putOut(pem, options);
    });
}

function makeRsa(name: string, { bits, force = false }: { bits: string; force?: boolean }): void {
  if (!['2048', '3072', '4096'].includes(bits)) throw new UsageError(`--bits: "${bits}" is none of 2048, 3072, 4096`);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: Number(bits) });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const key = readRsaPrivateKey(pem);
  writeNewFile(`${name}.pem`, pem, { force, mode: 0o600 });
  writeNewFile(`${name}.pub.pem`, writeRsaPublicKey(key), { force, mode: 0o644 });
  say(`${name}.pem and ${name}.pub.pem: RSA, ${rsaBits(key)} bits`);
}

function putOut(pem: string, { out, force = false }: { out?: string; force?: boolean }): void {
  if (out === undefined) print(pem);
  else writeNewFile(out, pem, { force, mode: 0o644 });
}
