"""
An independent reader and writer of Secure Execution images and requests, from the format's description alone (s390-pv.md
section 6): cryptography by python3-cryptography (OpenSSL) and hashlib, structures by struct.

  se_judge.py open IMAGE KEY.pem           what is in an image, as JSON: everything verified, components decrypted
  se_judge.py make SPEC.json               makes an image
  se_judge.py request REQUEST KEY.pem      what is in a request, as JSON
"""
import hashlib
import json
import os
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

PAGE = 4096
KINDS = {40: "kernel", 50: "ramdisk", 60: "cmdline", 70: "stage3b"}


def private_key(file):
    return serialization.load_pem_private_key(open(file, "rb").read(), None)


def public_key(file):
    return serialization.load_pem_public_key(open(file, "rb").read())


def coordinates(key):
    numbers = key.public_numbers()
    return numbers.x.to_bytes(80, "big") + numbers.y.to_bytes(80, "big")


def point(coords):
    x, y = int.from_bytes(coords[:80], "big"), int.from_bytes(coords[80:], "big")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP521R1()).public_key()


def shared_key(private, public):
    return X963KDF(hashes.SHA256(), 32, None).derive(private.exchange(ec.ECDH(), public))


def unwrap(slots, customer, private):
    """The header or request protection key, from the slot that has the hash of this host's key."""
    own = hashlib.sha256(coordinates(private.public_key())).digest()
    for at in range(0, len(slots), 80):
        if slots[at : at + 32] == own:
            return AESGCM(shared_key(private, point(customer))).decrypt(bytes(12), slots[at + 32 : at + 80], None)
    raise SystemExit("no key slot is for this host")


def wrap(key, customer, host):
    sealed = AESGCM(shared_key(customer, host)).encrypt(bytes(12), key, None)
    return hashlib.sha256(coordinates(host)).digest() + sealed


def xts(key, prefix, offset):
    return Cipher(algorithms.AES(key), modes.XTS(prefix + struct.pack(">Q", offset)))


def read_header(image, at):
    magic, version, size, iv, res, nks, sea, pages, pcf = struct.unpack_from(">8sII12s4sQQQQ", image, at)
    assert magic == b"IBMSecEx" and version == 0x100 and size <= 2 * PAGE and res == bytes(4)
    assert size == 0x1A0 + 80 * nks + sea + 16 and sea == 0x80
    customer = image[at + 0x40 : at + 0xE0]
    digests = [image[at + o : at + o + 64] for o in (0xE0, 0x120, 0x160)]
    slots = image[at + 0x1A0 : at + 0x1A0 + 80 * nks]
    aad = image[at : at + 0x1A0 + 80 * nks]
    sealed = image[at + len(aad) : at + size]
    return iv, pages, pcf, customer, digests, slots, aad, sealed


def read_ipib(image, at):
    total, flags, version, length, pbt = struct.unpack_from(">IB2xBIB", image, at)
    block_version = image[at + 0x6F]
    (count,) = struct.unpack_from(">I", image, at + 0x74)
    header = struct.unpack_from(">QQ", image, at + 0x78)
    assert (version, pbt, block_version) == (1, 5, 1) and flags == 0 and at % PAGE == 0
    assert total == 0x88 + 24 * count and length == total - 8
    return header, [struct.unpack_from(">8sQQ", image, at + 0x88 + 24 * i) for i in range(count)]


def open_image(image_file, key_file):
    image = open(image_file, "rb").read()
    assert image[:8] == struct.pack(">Q", 0x0008000180011000)
    magic, header_at, version, ipib_at = struct.unpack_from(">8sQIQ", image, 0xC000)
    assert magic == b"SeImgLnx" and version == 1
    iv, pages, pcf, customer, digests, slots, aad, sealed = read_header(image, header_at)
    key = unwrap(slots, customer, private_key(key_file))
    secrets = AESGCM(key).decrypt(iv, sealed, aad)
    cck, xts_key, mask, address, scf, noi, res = struct.unpack(">32s64sQQQII", secrets)
    assert (noi, res) == (0, 0)
    (ipib_header, ipib_size), parts = read_ipib(image, ipib_at)
    assert ipib_header == header_at and ipib_size == len(aad) + len(sealed)
    pld, ald, tld = hashlib.sha512(), hashlib.sha512(), hashlib.sha512()
    count, last, components = 0, 0, {}
    for prefix, start, length in parts:
        assert start % PAGE == 0 and length % PAGE == 0 and length and start >= last
        last = start + length
        clear = b""
        for offset in range(0, length, PAGE):
            page = image[start + offset : start + offset + PAGE]
            pld.update(page)
            ald.update(struct.pack(">Q", start + offset))
            tld.update(prefix + struct.pack(">Q", offset))
            count += 1
            if pcf & 0x10000000:
                clear += page
            else:
                context = xts(xts_key, prefix, offset).decryptor()
                clear += context.update(page) + context.finalize()
        components[KINDS[struct.unpack(">H", prefix[:2])[0]]] = (start, clear)
    assert [d.digest() for d in (pld, ald, tld)] == digests and count == pages
    assert list(components) == [kind for kind in KINDS.values() if kind in components]
    stage3b_at, stage3b = components["stage3b"]
    assert address == stage3b_at
    # The arguments are the last 64 bytes of stage3b: before the zeros that fill its page.
    place = {kind: components[kind][0] if kind in components else 0 for kind in ("kernel", "cmdline", "ramdisk")}
    for at in range(len(stage3b) - 64, -1, -1):
        args = struct.unpack_from(">8Q", stage3b, at)
        if (args[0], args[2], args[4]) == tuple(place.values()):
            break
    else:
        raise SystemExit("stage3b has no arguments")
    sizes = {"kernel": args[1], "cmdline": args[3], "ramdisk": args[5]}
    for kind, size in sizes.items():
        if kind in components:
            assert not any(components[kind][1][size:])
    return {
        "hosts": len(slots) // 80,
        "cck": cck.hex(),
        "image-key": xts_key.hex(),
        "header-key": key.hex(),
        "psw": [mask, address],
        "kernel-psw": list(args[6:]),
        "pcf": pcf,
        "scf": scf,
        "pages": count,
        "components": {k: hashlib.sha256(components[k][1][:n]).hexdigest() for k, n in sizes.items() if k in components},
    }


def make_image(spec):
    """An image of one's own: another place for the header, components in other distances, all as the format allows it."""
    kernel, stage3a, stage3b = (open(spec[name], "rb").read() for name in ("kernel", "stage3a", "stage3b"))
    parts = [("kernel", 40, kernel)]
    if "ramdisk" in spec:
        parts.append(("ramdisk", 50, open(spec["ramdisk"], "rb").read()))
    parts.append(("cmdline", 60, spec["cmdline"].encode() + b"\0"))
    customer = ec.generate_private_key(ec.SECP521R1())
    header_key, cck, xts_key, iv = os.urandom(32), os.urandom(32), os.urandom(64), os.urandom(12)
    hosts = [public_key(file) for file in spec["hosts"]]
    header_at = 0x15000
    header_size = 0x1A0 + 80 * len(hosts) + 0x80 + 16
    image = bytearray(header_at + header_size)
    pld, ald, tld = hashlib.sha512(), hashlib.sha512(), hashlib.sha512()
    count, entries, where = 0, [], {}

    def add(name, kind, data):
        nonlocal count
        start = (len(image) + PAGE - 1) // PAGE * PAGE + PAGE
        image.extend(bytes(start - len(image)))
        prefix = struct.pack(">H", kind) + os.urandom(6)
        padded = data + bytes(-len(data) % PAGE or (0 if data else PAGE))
        for offset in range(0, len(padded), PAGE):
            context = xts(xts_key, prefix, offset).encryptor()
            page = context.update(padded[offset : offset + PAGE]) + context.finalize()
            pld.update(page)
            ald.update(struct.pack(">Q", start + offset))
            tld.update(prefix + struct.pack(">Q", offset))
            image.extend(page)
            count += 1
        entries.append((prefix, start, len(padded)))
        where[name] = (start, len(data))

    for part in parts:
        add(*part)
    args = [*where["kernel"], *where["cmdline"], *where.get("ramdisk", (0, 0)), 0x180000000, 0x10000]
    add("stage3b", 70, stage3b[:-64] + struct.pack(">8Q", *args))
    secrets = struct.pack(">32s64sQQQII", cck, xts_key, 0x180000000, where["stage3b"][0], 0, 0, 0)
    head = struct.pack(">8sII12s4xQQQQ", b"IBMSecEx", 0x100, header_size, iv, len(hosts), 0x80, count, 0xE0)
    head += coordinates(customer.public_key()) + pld.digest() + ald.digest() + tld.digest()
    head += b"".join(wrap(header_key, customer, host) for host in hosts)
    header = head + AESGCM(header_key).encrypt(iv, secrets, head)
    ipib_at = (len(image) + PAGE - 1) // PAGE * PAGE
    image.extend(bytes(ipib_at - len(image)))
    total = 0x88 + 24 * len(entries)
    ipib = bytearray(total)
    struct.pack_into(">IB2xBIB", ipib, 0, total, 0, 1, total - 8, 5)
    ipib[0x6F] = 1
    struct.pack_into(">IQQ", ipib, 0x74, len(entries), header_at, header_size)
    for i, entry in enumerate(entries):
        struct.pack_into(">8sQQ", ipib, 0x88 + 24 * i, *entry)
    image.extend(ipib)
    image[0:8] = struct.pack(">Q", 0x0008000180011000)
    image[0xC000 : 0xC000 + 28] = struct.pack(">8sQIQ", b"SeImgLnx", header_at, 1, ipib_at)
    args_at = 0x10000 + len(stage3a) - 24
    stage3a = stage3a[:-24] + struct.pack(">3Q", header_at - args_at, header_size, ipib_at - args_at)
    image[0x10000 : 0x10000 + len(stage3a)] = stage3a
    image[header_at : header_at + header_size] = header
    open(spec["out"], "wb").write(image)


def open_request(request_file, key_file):
    request = open(request_file, "rb").read()
    magic, version, size, iv, nks, sea = struct.unpack_from(">8sII12s4x7xB4xI", request)
    assert version == 0x100 and size == len(request)
    if magic == bytes(8):
        flags, algorithm = struct.unpack_from(">QI", request, 0x30)
        customer_at, about = 0x40, {"kind": "attestation", "algorithm": algorithm}
    else:
        assert magic[:6] == b"asrcbM"
        (flags,) = struct.unpack_from(">Q", request, 0x30)
        tags, cuid, user = request[0x38:0x108], request[0x108:0x118], request[0x218:0x418]
        customer_at = 0x418
        about = {"kind": "add-secret", "user-kind": magic[7], "tags": tags.hex(), "cuid": cuid.hex(), "user": user.hex()}
    slots_at = customer_at + 160
    slots = request[slots_at : slots_at + 80 * nks]
    aad, sealed = request[: size - 16 - sea], request[size - 16 - sea :]
    key = unwrap(slots, request[customer_at:slots_at], private_key(key_file))
    return {
        **about,
        "flags": flags,
        "key": key.hex(),
        "secret": aad[slots_at + len(slots) :].hex(),
        "clear": AESGCM(key).decrypt(iv, sealed, aad).hex(),
    }


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "make":
        make_image(json.load(open(arguments[0])))
    else:
        print(json.dumps({"open": open_image, "request": open_request}[command](*arguments)))
