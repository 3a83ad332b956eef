import type { Command } from 'commander';
import { createSe, type SeCreateOptions } from './se-create.ts';
import { decryptSe, type SeDecryptOptions } from './se-decrypt.ts';
import { SE_SWITCHES } from './se-flags.ts';
import { inspectSe, type SeInspectOptions } from './se-inspect.ts';
import {
  ADDITIONAL_DATA,
  type AddSecretOptions,
  type AttestOptions,
  addSecretSe,
  attestSe,
  SECRET_TYPES,
} from './se-requests.ts';
import { type SeVerifyOptions, verifySe } from './se-verify.ts';

const HELP = `
A Secure Execution image is a kernel, a ramdisk and a command line, encrypted for IBM Z machines that you name by their
host keys, and what their Ultravisors need to unpack and verify them. The format is that of s390-tools (pvimg, before that
genprotimg): either reads what the other wrote, and options have the names that these give them.

From a kernel to a protected VM:
  cloister keys host machine                      whoever runs the machine; you get machine.pub.pem
  cloister image se create --host-key-document machine.pub.pem --no-verify --kernel vmlinuz --ramdisk initrd.img \\
      --cmdline "root=/dev/vda" --output secure.img`;

const CREATE_HELP = `
A host key document is a certificate that IBM signed; --cert, --crl and --root-ca are what it is checked against. Nothing is
downloaded: every issuer on the way needs its CRL. With --no-verify it may also be a bare public key (PEM) on the curve
P-521, or the word "development" for a machine that was given no key.
The kernel is one of Linux as it is ("S390EP" at 0x10008), or an ELF file whose segments lie from 0x10000 on.

Example:
  cloister image se create -k development --no-verify -i guests/s390/hello.elf -o hello.img`;

const INSPECT_HELP = `
Without a key the structure is shown, which nobody vouches for. With the private key of a machine or the header protection
key, that the header is authentic, and what it starts; its keys only with --show-secrets.`;

const DECRYPT_HELP = `
The pages are compared with the header first: of an image that was changed, nothing is written. Where stage3b says how long a
component was, the zeros that fill its last page are left out.`;

const VERIFY_HELP = `
Exit status 0: an Ultravisor with this key will accept the image, and these files are in it; 1: something differs, and which;
2: bad usage, or an image that cannot be read or opened.`;

const ATTEST_HELP = `
Additional data: ${Object.keys(ADDITIONAL_DATA).join(', ')}. The guest hands the request to its Ultravisor; --arpk gets the key with
which you check the answer.`;

const ADD_SECRET_HELP = `
Types: ${SECRET_TYPES.join(', ')}. A secret is for the guests of one image; --cuid narrows it to one configuration. User data
that are signed are not made here.`;

const collect = (value: string, before: string[]): string[] => [...before, value];

/** What a command needs that is for machines. */
function withHostKeys(command: Command): Command {
  return command
    .option('-k, --host-key-document <file>', 'a machine: host key document; may be repeated', collect, [])
    .option('-C, --cert <file>', 'certificates between host key document and root; may be repeated', collect, [])
    .option('--crl <file>', 'a list of revoked certificates; may be repeated', collect, [])
    .option('--root-ca <file>', 'root certificates; those of Node by default')
    .option('--no-verify', 'take host keys as they are')
    .option('--overwrite', 'write over files that are there');
}

/** What a command needs that opens an image. */
function withKeys(command: Command): Command {
  return command
    .option('--host-key <pem>', 'private key of a machine, or "development"')
    .option('--hdr-key <file>', 'header protection key: 32 bytes');
}

/** Adds `cloister image se`. */
export function addSe(image: Command, finish: (status: number) => void): void {
  const se = image
    .command('se')
    .description('Secure Execution images: the encrypted start of protected VMs on IBM Z')
    .addHelpText('after', HELP);
  const create = withHostKeys(se.command('create').description('make an image'))
    .requiredOption('-i, --kernel <file>', 'the kernel')
    .option('-r, --ramdisk <file>', 'the initial RAM disk')
    .option('-p, --parmfile <file>', 'a file with the kernel command line')
    .option('--cmdline <string>', 'the kernel command line itself')
    .requiredOption('-o, --output <file>', 'the image')
    .option('--cck <file>', 'customer communication key: 32 bytes; at random by default')
    .option('--hdr-key <file>', 'header protection key: 32 bytes; at random by default')
    .option('--image-key <file>', 'key of the components: 64 bytes; at random by default');
  for (const { option, help } of SE_SWITCHES) {
    create.option(`--enable-${option}`, help).option(`--disable-${option}`, 'the opposite');
  }
  create
    .option('--enable-image-encryption', 'encrypt the components (on)')
    .option('--disable-image-encryption', 'leave the components in the clear')
    .option('--x-pcf <hex>', 'all plaintext control flags')
    .option('--x-scf <hex>', 'all secret control flags')
    .option('--x-psw <hex>', 'the address where the guest starts, in place of stage3b')
    .option('--x-bootloader-directory <dir>', 'with stage3a.bin and stage3b_reloc.bin of s390-tools')
    .option('--no-component-check', 'take any kernel and command line')
    .addHelpText('after', CREATE_HELP)
    .action((options: SeCreateOptions) => createSe(options));
  withKeys(se.command('inspect').description('show what is in an image').argument('<image>', 'the image'))
    .option('--show-secrets', 'with the keys')
    .option('--json', 'as JSON')
    .addHelpText('after', INSPECT_HELP)
    .action((file: string, options: SeInspectOptions) => inspectSe(file, options));
  withKeys(se.command('decrypt').description('write components in the clear').argument('<image>', 'the image'))
    .option('-i, --kernel <file>', 'where the kernel goes, as it lies in memory from 0 on')
    .option('-r, --ramdisk <file>', 'where the ramdisk goes')
    .option('-p, --parmfile <file>', 'where the command line goes, with its NUL')
    .option('--stage3b <file>', 'where the boot loader goes')
    .option('--overwrite', 'write over files that are there')
    .addHelpText('after', DECRYPT_HELP)
    .action((file: string, options: SeDecryptOptions) => decryptSe(file, options));
  withKeys(se.command('verify').description('check an image as an Ultravisor does').argument('<image>', 'the image'))
    .option('-i, --kernel <file>', 'compare the kernel')
    .option('-r, --ramdisk <file>', 'compare the ramdisk')
    .option('-p, --parmfile <file>', 'compare the command line')
    .addHelpText('after', VERIFY_HELP)
    .action((file: string, options: SeVerifyOptions) => finish(verifySe(file, options)));
  withHostKeys(se.command('attest').description('make an attestation request'))
    .requiredOption('-o, --output <file>', 'the request')
    .requiredOption('-a, --arpk <file>', 'where the request protection key goes')
    .option('--add-data <name>', 'additional data that the answer shall have; may be repeated', collect, [])
    .addHelpText('after', ATTEST_HELP)
    .action(({ arpk, ...options }: AttestOptions & { arpk: string }) => attestSe({ ...options, protectionKey: arpk }));
  withHostKeys(se.command('add-secret').description("make an add-secret request for an image's guests"))
    .requiredOption('--image <file>', 'the image')
    .requiredOption('-o, --output <file>', 'the request')
    .requiredOption('--type <type>', SECRET_TYPES.join(', '))
    .option('--name <text>', 'what the guest knows the secret by')
    .option('--secret <file>', 'the secret: 32 bytes, or for type plain up to 8190')
    .option('--extension-secret <file>', 'extension secret: 32 bytes')
    .option('--cck <file>', 'derive the extension secret from this key')
    .option('--cuid <file>', 'only for the configuration with these 16 bytes')
    .option('--user-data <file>', 'up to 512 bytes in the clear')
    .option('--disable-dump', 'no dump of the guest from then on')
    .addHelpText('after', ADD_SECRET_HELP)
    .action((options: AddSecretOptions) => addSecretSe(options));
}
