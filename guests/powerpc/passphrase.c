/*
 * A guest whose disk is encrypted, and whose pass phrase only the ESM blob has (file "rootd"). It reads the pass phrase from
 * the Ultravisor, makes the disk's key of it, and says whether that opens the disk; a normal VM has no pass phrase.
 *
 * The disk is what `openssl enc -chacha20 -pbkdf2 -pass file:rootd` writes ("Salted__", a salt of 8 bytes, ciphertext), of
 * the SHA-256 of all that follows, and what follows; whole sectors. A number as the command line is the iterations of
 * PBKDF2; 10000 without it, as OpenSSL has it.
 *
 * The proof at the end shows who knows the pass phrase that the guest does too, and tells others no more than the disk does.
 */
#include "crypto.h"
#include "lib/virtio_blk.h"

#define ITERATIONS 10000
#define FILE_NAME "rootd"
#define MOST_PASS_PHRASE 0x4000
#define MAGIC "Salted__"
#define MAGIC_BYTES 8
#define SALT_BYTES 8
#define HEADER_BYTES (MAGIC_BYTES + SALT_BYTES)
#define QUEUE_PART 0x4000
#define CHUNK_BYTES (SECTOR_BYTES * 8)
#define PROOF "cloister: this guest read its pass phrase"

/* All that the device ever sees, and all else. */
static u8 shared[PAGE_BYTES] WHOLE_PAGES;
static u8 pass_phrase[MOST_PASS_PHRASE];
static u8 plain[CHUNK_BYTES + CHACHA20_BLOCK];

static struct {
  u8 key[CHACHA20_KEY], iv[CHACHA20_IV];
} keys;

/* Reads through the shared page: what is checked is a copy that the host cannot change. */
static int read_sectors(u64 sector, void *to, u32 bytes)
{
  u8 *bounce = shared + QUEUE_PART;
  if (virtio_blk_request(VIRTIO_BLK_T_IN, sector, bounce, bytes, 0) != VIRTIO_BLK_S_OK) {
    print("the disk cannot be read\n");
    return 0;
  }
  memcpy(to, bounce, bytes);
  return 1;
}

static int start_disk(void)
{
  if (ultracall(UV_SHARE_PAGE, (u64)shared / PAGE_BYTES, 1) != U_SUCCESS) {
    print("the page cannot be shared\n");
    return 0;
  }
  const char *failed = virtio_blk_start(shared);
  if (failed) {
    print(failed);
    print("\n");
  }
  return failed == 0;
}

/* What of the ciphertext is in a sector, and where: the header is in the first. */
static int opens(u64 *contents)
{
  struct sha256 sha;
  u8 digest[SHA256_BYTES], found[SHA256_BYTES], sector[SECTOR_BYTES];
  u64 kept = 0, total = 0, sectors = virtio_blk_sectors();
  sha256_start(&sha);
  for (u64 i = 0; i < sectors; i++) {
    if (!read_sectors(i, sector, SECTOR_BYTES))
      return 0;
    u32 skip = i == 0 ? HEADER_BYTES : 0;
    memcpy(plain + kept, sector + skip, SECTOR_BYTES - skip);
    kept += SECTOR_BYTES - skip;
    /* Whole blocks, and at the end whatever is left. */
    u64 ready = i + 1 == sectors ? kept : kept - kept % CHACHA20_BLOCK;
    chacha20(keys.key, keys.iv, plain, (ready + CHACHA20_BLOCK - 1) & -(u64)CHACHA20_BLOCK);
    u64 from = total == 0 ? SHA256_BYTES : 0;
    if (total == 0)
      memcpy(digest, plain, sizeof digest);
    sha256_add(&sha, plain + from, ready - from);
    total += ready;
    kept -= ready;
    memcpy(plain, plain + ready, kept);
  }
  sha256_finish(&sha, found);
  *contents = total - SHA256_BYTES;
  return memcmp(digest, found, sizeof digest) == 0;
}

static void prove(void)
{
  struct hmac_key hmac;
  u8 tag[SHA256_BYTES];
  hmac_sha256_key(&hmac, keys.key, sizeof keys.key);
  hmac_sha256(&hmac, PROOF, text_length(PROOF), tag);
  print("proof ");
  for (u32 i = 0; i < sizeof tag; i++)
    print_hexadecimal(tag[i], 2);
  print("\n");
}

int main(void)
{
  u64 iterations = command_line_number(ITERATIONS);
  become_secure();
  if (!is_secure()) {
    print("a normal VM has no pass phrase\n");
    return 0;
  }
  s64 length = esmb_file(FILE_NAME, pass_phrase, sizeof pass_phrase);
  if (length < 0 || length > MOST_PASS_PHRASE) {
    print(length < 0 ? "the blob has no pass phrase\n" : "a pass phrase that long is none\n");
    return 0;
  }
  print("a pass phrase of ");
  print_decimal(length);
  print(" bytes\n");
  u8 again;
  print(esmb_file(FILE_NAME, &again, 1) < 0 ? "nobody can read it again\n" : "IT COULD BE READ AGAIN\n");

  u8 sector[SECTOR_BYTES];
  if (!start_disk() || !read_sectors(0, sector, SECTOR_BYTES))
    return 0;
  if (memcmp(sector, MAGIC, MAGIC_BYTES) != 0) {
    print("the disk is not encrypted\n");
    return 0;
  }
  pbkdf2_sha256(pass_phrase, length, sector + MAGIC_BYTES, SALT_BYTES, iterations, (u8 *)&keys, sizeof keys);
  memset(pass_phrase, 0, sizeof pass_phrase);
  u64 contents = 0;
  prove();
  if (opens(&contents)) {
    print("it opens the disk: ");
    print_decimal(contents);
    print(" bytes\n");
  } else {
    print("it does not open the disk\n");
  }
  return 0;
}
