import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { defaultProvider } from '../crypto/default.ts';
import { isEcKey, readP521PrivateKey, writeP521PrivateKey, writeP521PublicKey } from '../crypto/p521-key.ts';
import { readPemBlocks } from '../crypto/pem.ts';
import { readRsaPrivateKey, rsaBits, writeRsaPublicKey } from '../crypto/rsa-key.ts';
import { randomP521Key } from '../image/se/image-writer.ts';
import { DEVELOPMENT_KEY } from '../powerpc/ultravisor/development-key.ts';
import { DEVELOPMENT_HOST_KEY } from '../s390/ultravisor/development-host-key.ts';
import { print } from './console-output.ts';
import { UsageError } from './exit-status.ts';
import { readKeyFile } from './key-files.ts';
import { writeNewFile } from './new-file.ts';
import { say } from './say.ts';
import { parseChoice } from './values.ts';

const HELP = `
An RSA pair is what an ESM blob of IBM Power needs: the blob is made for the public keys of machines, and a machine with
the private key ("cloister run --uv-key") starts what the blob proves. A pair on the curve P-521 is the same for a Secure
Execution image of IBM Z.

  cloister keys rsa machine                writes machine.pem (private, for you alone) and machine.pub.pem
  cloister keys host machine               the same with a pair on P-521
  cloister keys public machine.pem         the public half of a private key
  cloister keys development                the public key of a machine that was given no key; its private half is known
                                           to everybody who has Cloister, so it protects nothing; --arch s390 for IBM Z`;

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
    .command('host')
    .description('make a host key pair for IBM Z, on P-521: NAME.pem and NAME.pub.pem')
    .argument('<name>', 'what the two files begin with')
    .option('--force', 'write over files that are there')
    .action((name: string, options: { force?: boolean }) => makeHost(name, options));
  keys
    .command('public')
    .description('write the public half of a private key')
    .argument('<private.pem>', 'the private key')
    .option('--out <file>', 'where to; standard output by default')
    .option('--force', 'write over a file that is there')
    .action((file: string, options: { out?: string; force?: boolean }) => {
      putOut(readKeyFile(file, publicHalf).key, options);
    });
  keys
    .command('development')
    .description('write the public key of a machine that was given no key')
    .option('--private', 'the private key')
    .option('--arch <name>', 'of which architecture: powerpc or s390', 'powerpc')
    .option('--out <file>', 'where to; standard output by default')
    .option('--force', 'write over a file that is there')
    .action((options: { private?: boolean; arch: string; out?: string; force?: boolean }) => {
      const pem = DEVELOPMENT_KEYS[parseChoice('--arch', options.arch, ['powerpc', 's390'])];
      putOut(options.private === true ? pem : publicHalf(pem), options);
    });
}

const DEVELOPMENT_KEYS = { powerpc: DEVELOPMENT_KEY, s390: DEVELOPMENT_HOST_KEY };

/** The public half of a private key, as PEM: on P-521 if that is what it is, else RSA. @throws PemError */
function publicHalf(pem: string): string {
  const [first, second] = readPemBlocks(pem);
  const { label, bytes } = first.label === 'EC PARAMETERS' && second !== undefined ? second : first;
  if (label === 'EC PRIVATE KEY' || (label === 'PRIVATE KEY' && isEcKey(bytes))) {
    return writeP521PublicKey(defaultProvider().p521PublicKey(readP521PrivateKey(pem)));
  }
  return writeRsaPublicKey(readRsaPrivateKey(pem));
}

function makeHost(name: string, { force = false }: { force?: boolean }): void {
  const crypto = defaultProvider();
  const key = randomP521Key(crypto, (bytes) => new Uint8Array(randomBytes(bytes)));
  writeNewFile(`${name}.pem`, writeP521PrivateKey(crypto, key), { force, mode: 0o600 });
  writeNewFile(`${name}.pub.pem`, writeP521PublicKey(crypto.p521PublicKey(key)), { force, mode: 0o644 });
  say(`${name}.pem and ${name}.pub.pem: P-521`);
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
