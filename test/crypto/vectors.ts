import { counting, page251, utf8 } from './hex.ts';

/** FIPS 180-4 examples (NIST "SHA256.pdf" and "SHA512.pdf") and the empty and million-'a' messages of the CAVP set. */
export const hashes = [
  {
    name: 'empty message',
    data: new Uint8Array(0),
    sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    sha512:
      'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce' +
      '47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
  },
  {
    name: 'one block "abc"',
    data: utf8('abc'),
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    sha512:
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
      '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  },
  {
    name: 'two blocks of SHA-256',
    data: utf8('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    sha256: '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    sha512:
      '204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335' +
      '96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445',
  },
  {
    name: 'two blocks of SHA-512',
    data: utf8(
      'abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu',
    ),
    sha256: 'cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1',
    sha512:
      '8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018' +
      '501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909',
  },
  {
    name: "a million 'a'",
    data: new Uint8Array(1_000_000).fill(0x61),
    sha256: 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
    sha512:
      'e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb' +
      'de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b',
  },
];

/** RFC 4231, section 4. Case 5 shows the first 128 bits only. */
export const hmacs = [
  {
    name: '1',
    key: new Uint8Array(20).fill(0x0b),
    data: utf8('Hi There'),
    mac: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  },
  {
    name: '2, key shorter than the output',
    key: utf8('Jefe'),
    data: utf8('what do ya want for nothing?'),
    mac: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  },
  {
    name: '3',
    key: new Uint8Array(20).fill(0xaa),
    data: new Uint8Array(50).fill(0xdd),
    mac: '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
  },
  {
    name: '4',
    key: counting(1, 25),
    data: new Uint8Array(50).fill(0xcd),
    mac: '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  },
  {
    name: '5, truncated',
    key: new Uint8Array(20).fill(0x0c),
    data: utf8('Test With Truncation'),
    mac: 'a3b6167473100ee06e0c796c2955552b',
  },
  {
    name: '6, key longer than a block',
    key: new Uint8Array(131).fill(0xaa),
    data: utf8('Test Using Larger Than Block-Size Key - Hash Key First'),
    mac: '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  },
  {
    name: '7, key and data longer than a block',
    key: new Uint8Array(131).fill(0xaa),
    data: utf8(
      'This is a test using a larger than block-size key and a larger than block-size data. ' +
        'The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    mac: '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  },
];

const ecbPlaintext =
  '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
  '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710';

/** NIST SP 800-38A, F.1.1 and F.1.5; FIPS 197, C.1 and C.3. */
export const ecbs = [
  {
    name: 'SP 800-38A F.1.1, AES-128',
    key: '2b7e151628aed2a6abf7158809cf4f3c',
    plaintext: ecbPlaintext,
    ciphertext:
      '3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf' +
      '43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4',
  },
  {
    name: 'SP 800-38A F.1.5, AES-256',
    key: '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4',
    plaintext: ecbPlaintext,
    ciphertext:
      'f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870' +
      'b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7',
  },
  {
    name: 'FIPS 197 C.1, AES-128',
    key: '000102030405060708090a0b0c0d0e0f',
    plaintext: '00112233445566778899aabbccddeeff',
    ciphertext: '69c4e0d86a7b0430d8cdb78070b4c55a',
  },
  {
    name: 'FIPS 197 C.3, AES-256',
    key: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
    plaintext: '00112233445566778899aabbccddeeff',
    ciphertext: '8ea2b7ca516745bfeafc49904b496089',
  },
];

const gcmKey = 'feffe9928665731c6d6a8f9467308308';
const gcmPlaintext =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
  '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const gcmPlaintext60 = gcmPlaintext.slice(0, 120);
const gcmAad = 'feedfacedeadbeeffeedfacedeadbeefabaddad2';
const gcmIv60 =
  '9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728' +
  'c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b';

/** McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B: the cases with 128- and 256-bit keys. */
export const gcms = [
  {
    name: 'case 1, nothing at all',
    key: '00'.repeat(16),
    iv: '00'.repeat(12),
    aad: '',
    plaintext: '',
    ciphertext: '',
    tag: '58e2fccefa7e3061367f1d57a4e7455a',
  },
  {
    name: 'case 2, one block',
    key: '00'.repeat(16),
    iv: '00'.repeat(12),
    aad: '',
    plaintext: '00'.repeat(16),
    ciphertext: '0388dace60b6a392f328c2b971b2fe78',
    tag: 'ab6e47d42cec13bdf53a67b21257bddf',
  },
  {
    name: 'case 3, four blocks',
    key: gcmKey,
    iv: 'cafebabefacedbaddecaf888',
    aad: '',
    plaintext: gcmPlaintext,
    ciphertext:
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e' +
      '21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985',
    tag: '4d5c2af327cd64a62cf35abd2ba6fab4',
  },
  {
    name: 'case 4, associated data and a part block',
    key: gcmKey,
    iv: 'cafebabefacedbaddecaf888',
    aad: gcmAad,
    plaintext: gcmPlaintext60,
    ciphertext:
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e' +
      '21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091',
    tag: '5bc94fbc3221a5db94fae95ae7121a47',
  },
  {
    name: 'case 5, 8-byte IV',
    key: gcmKey,
    iv: 'cafebabefacedbad',
    aad: gcmAad,
    plaintext: gcmPlaintext60,
    ciphertext:
      '61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423' +
      '73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598',
    tag: '3612d2e79e3b0785561be14aaca2fccb',
  },
  {
    name: 'case 6, 60-byte IV',
    key: gcmKey,
    iv: gcmIv60,
    aad: gcmAad,
    plaintext: gcmPlaintext60,
    ciphertext:
      '8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7' +
      '01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5',
    tag: '619cc5aefffe0bfa462af43c1699d050',
  },
  {
    name: 'case 13, AES-256, nothing at all',
    key: '00'.repeat(32),
    iv: '00'.repeat(12),
    aad: '',
    plaintext: '',
    ciphertext: '',
    tag: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    name: 'case 14, AES-256, one block',
    key: '00'.repeat(32),
    iv: '00'.repeat(12),
    aad: '',
    plaintext: '00'.repeat(16),
    ciphertext: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    name: 'case 16, AES-256, associated data and a part block',
    key: gcmKey + gcmKey,
    iv: 'cafebabefacedbaddecaf888',
    aad: gcmAad,
    plaintext: gcmPlaintext60,
    ciphertext:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
      '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
  {
    name: 'case 17, AES-256, 8-byte IV',
    key: gcmKey + gcmKey,
    iv: 'cafebabefacedbad',
    aad: gcmAad,
    plaintext: gcmPlaintext60,
    ciphertext:
      'c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0' +
      'feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f',
    tag: '3a337dbf46a792c45e454913fe2ea8f2',
  },
  {
    name: 'case 18, AES-256, 60-byte IV',
    key: gcmKey + gcmKey,
    iv: gcmIv60,
    aad: gcmAad,
    plaintext: gcmPlaintext60,
    ciphertext:
      '5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf4' +
      '0fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f',
    tag: 'a44a8266ee1c8eb0c8b5d4cf5ae9f19a',
  },
];

/** power-pef.md 7.3: a payload of an ESM blob, with PyCryptodome's 16-byte IV. */
export const esmGcm = {
  key: counting(0, 32),
  iv: counting(0, 16),
  plaintext: utf8('hello, SVM\n'),
  ciphertext: '0f09cc1a56c86a7bcbb2d1',
  tag: 'b77188b74e872805edb1548954122ad5',
};

/** power-pef.md 8.2: a page as the shipped Ultravisor encrypts it. */
export const pageGcm = {
  key: counting(0, 16),
  iv: Uint8Array.of(0xa0, 0xa1, 0xa2, 0xa3, 0, 0, 0, 0, 0, 0, 0, 0),
  plaintext: page251(),
  firstBlock: '8a5ccc9e438a32685bcf20287dc775af',
  tag: '703a0fcc84ac08e1362c3017e4361030',
  ciphertextSha256: '1e8292e440a6b8de2f69086200951de0fb4b7f93bf1556d0fe032c8625269cbf',
};

const noText = { personalization: '' };

/**
 * NIST CAVP drbgvectors_no_reseed/HMAC_DRBG.rsp: [SHA-256], PredictionResistance = False, EntropyInputLen = 256,
 * NonceLen = 128, AdditionalInputLen = 0, ReturnedBitsLen = 1024; the first groups without and with personalization.
 * ReturnedBits is the result of the second request.
 */
export const drbgs = [
  {
    name: 'no personalization, COUNT = 0',
    ...noText,
    entropy: 'ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488',
    nonce: '659ba96c601dc69fc902940805ec0ca8',
    returned:
      'e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89' +
      'd54fbb978a15b5c443c9ec21036d2460b6f73ebad0dc2aba6e624abf07745bc1' +
      '07694bb7547bb0995f70de25d6b29e2d3011bb19d27676c07162c8b5ccde0668' +
      '961df86803482cb37ed6d5c0bb8d50cf1f50d476aa0458bdaba806f48be9dcb8',
  },
  {
    name: 'no personalization, COUNT = 1',
    ...noText,
    entropy: '79737479ba4e7642a221fcfd1b820b134e9e3540a35bb48ffae29c20f5418ea3',
    nonce: '3593259c092bef4129bc2c6c9e19f343',
    returned:
      'cf5ad5984f9e43917aa9087380dac46e410ddc8a7731859c84e9d0f31bd43655' +
      'b924159413e2293b17610f211e09f770f172b8fb693a35b85d3b9e5e63b1dc25' +
      '2ac0e115002e9bedfb4b5b6fd43f33b8e0eafb2d072e1a6fee1f159df9b51e6c' +
      '8da737e60d5032dd30544ec51558c6f080bdbdab1de8a939e961e06b5f1aca37',
  },
  {
    name: 'no personalization, COUNT = 14',
    ...noText,
    entropy: '451ed024bc4b95f1025b14ec3616f5e42e80824541dc795a2f07500f92adc665',
    nonce: '2f28e6ee8de5879db1eccd58c994e5f0',
    returned:
      '3fb637085ab75f4e95655faae95885166a5fbb423bb03dbf0543be063bcd4879' +
      '9c4f05d4e522634d9275fe02e1edd920e26d9accd43709cb0d8f6e50aa54a5f3' +
      'bdd618be23cf73ef736ed0ef7524b0d14d5bef8c8aec1cf1ed3e1c38a808b35e' +
      '61a44078127c7cb3a8fd7addfa50fcf3ff3bc6d6bc355d5436fe9b71eb44f7fd',
  },
  {
    name: 'personalization, COUNT = 0',
    entropy: '5cacc68165a2e2ee20812f35ec73a79dbf30fd475476ac0c44fc6174cdac2b55',
    nonce: '6f885496c1e63af620becd9e71ecb824',
    personalization: 'e72dd8590d4ed5295515c35ed6199e9d211b8f069b3058caa6670b96ef1208d0',
    returned:
      'f1012cf543f94533df27fedfbf58e5b79a3dc517a9c402bdbfc9a0c0f721f9d5' +
      '3faf4aafdc4b8f7a1b580fcaa52338d4bd95f58966a243cdcd3f446ed4bc546d' +
      '9f607b190dd69954450d16cd0e2d6437067d8b44d19a6af7a7cfa8794e5fbd72' +
      '8e8fb2f2e8db5dd4ff1aa275f35886098e80ff844886060da8b1e7137846b23b',
  },
  {
    name: 'personalization, COUNT = 1',
    entropy: '8df013b4d103523073917ddf6a869793059e9943fc8654549e7ab22f7c29f122',
    nonce: 'da2625af2ddd4abcce3cf4fa4659d84e',
    personalization: 'b571e66d7c338bc07b76ad3757bb2f9452bf7e07437ae8581ce7bc7c3ac651a9',
    returned:
      'b91cba4cc84fa25df8610b81b641402768a2097234932e37d590b1154cbd23f9' +
      '7452e310e291c45146147f0da2d81761fe90fba64f94419c0f662b28c1ed94da' +
      '487bb7e73eec798fbcf981b791d1be4f177a8907aa3c401643a5b62b87b89d66' +
      'b3a60e40d4a8e4e9d82af6d2700e6f535cdb51f75c321729103741030ccc3a56',
  },
];
