import type { Command } from 'commander';
import { type CreateOptions, createEsmb } from './esmb-create.ts';
import { type InspectOptions, inspectEsmb } from './esmb-inspect.ts';
import { type VerifyOptions, verifyEsmb } from './esmb-verify.ts';

const HELP = `
An ESM blob proves to the Ultravisor of a Power machine what a secure VM is made of: it holds SHA-512 digests of kernel,
initrd, command line and RTAS, encrypted so that only the machines that you name can use it; and files for the running
VM, such as the pass phrase of its disk. The format is that of open-power/svm-tools: either reads what the other wrote.

From a kernel to a secure VM:
  cloister keys rsa machine                       whoever runs the machine; you get machine.pub.pem
  cloister keys rsa builder                       you, who build the image
  cloister image esmb create --kernel vmlinux --initrd initrd.img --cmdline "svm=on root=/dev/vda" \\
      --origin builder.pub.pem --recipient machine.pub.pem --file rootd=passphrase.txt --out-initrd secure-initrd.img
  cloister run --protected --uv-key machine.pem --initrd secure-initrd.img --cmdline "svm=on root=/dev/vda" vmlinux`;

const CREATE_HELP = `
The digests are of exactly these files and this command line: what boots with another one stays a normal VM.
--out writes the bare blob, --out-initrd the initrd with the blob before it, as the guest needs it (an archive with
opt/ibm/pef/esm-blob, then the initrd as it was). At least one of them is needed.

Examples:
  cloister image esmb create --kernel guests/powerpc/secret.elf --recipient development --out-initrd secret.initrd
  cloister run --protected --entry fdt --initrd secret.initrd guests/powerpc/secret.elf`;

const INSPECT_HELP = `
Without a key the structure is shown, which nobody vouches for. With the private key of the origin or of a machine, also
the digests, and the names and sizes of the files; their contents only with --show.`;

const VERIFY_HELP = `
Exit status 0: the Ultravisor will find these files as the blob has them; 1: something differs, and which; 2: bad usage,
or a blob that cannot be opened. Where the blob comes before an initrd, that initrd is the one that is checked.

Example:
  cloister image esmb verify secure-initrd.img --key machine.pem --kernel vmlinux --cmdline "svm=on root=/dev/vda"`;

/** Adds `cloister image esmb`. */
export function addEsmb(image: Command, finish: (status: number) => void): void {
  const collect = (value: string, before: string[]): string[] => [...before, value];
  const esmb = image
    .command('esmb')
    .description('ESM blobs: the verified start of secure VMs on IBM Power')
    .addHelpText('after', HELP);
  esmb
    .command('create')
    .description('make a blob for a kernel, an initrd and a command line')
    .requiredOption('--kernel <file>', 'the kernel: an ELF file, or its bytes as they lie in memory')
    .option('--initrd <file>', 'the initrd; none is an empty one')
    .option('--cmdline <string>', 'the kernel command line, whole', '')
    .option('--rtas <file>', 'the text of RTAS, if it is not that of QEMU')
    .option('--origin <pem>', 'public key of the builder; by default one is made and thrown away')
    .option('--recipient <pem>', 'public key of a machine, or "development"; may be repeated', collect, [])
    .option('--file <name=path>', 'a file for the running VM; may be repeated', collect, [])
    .option('--comment <text>', 'one line in the clear, beside the lockboxes', '')
    .option('--out <file>', 'write the blob')
    .option('--out-initrd <file>', 'write the initrd with the blob before it')
    .option('--force', 'write over files that are there')
    .addHelpText('after', CREATE_HELP)
    .action((options: CreateOptions) => createEsmb(options));
  esmb
    .command('inspect')
    .description('show what is in a blob')
    .argument('<blob>', 'a blob, or an initrd with one before it')
    .option('--key <pem>', 'private key of the origin or of a machine')
    .option('--show <name>', 'write the contents of this file to standard output, and nothing else')
    .option('--json', 'as JSON')
    .addHelpText('after', INSPECT_HELP)
    .action((file: string, options: InspectOptions) => inspectEsmb(file, options));
  esmb
    .command('verify')
    .description('check a kernel, an initrd and a command line against a blob')
    .argument('<blob>', 'a blob, or an initrd with one before it')
    .requiredOption('--key <pem>', 'private key of the origin or of a machine')
    .requiredOption('--kernel <file>', 'the kernel')
    .option('--initrd <file>', 'the initrd')
    .option('--cmdline <string>', 'the kernel command line', '')
    .option('--rtas <file>', 'the text of RTAS, if it is not that of QEMU')
    .addHelpText('after', VERIFY_HELP)
    .action((file: string, options: VerifyOptions) => finish(verifyEsmb(file, options)));
}
