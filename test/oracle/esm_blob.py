"""
An independent reader and writer of ESM blobs, from the format's description alone: device trees by dtc and a parser of
its own, cryptography by python3-cryptography (OpenSSL).

  esm_blob.py open BLOB KEY.pem            what is in a blob, as JSON
  esm_blob.py make SPEC.json               makes a blob and the archive before an initrd
  esm_blob.py vector                       the known answer for AES-256-GCM with a nonce of 16 bytes
"""
import hashlib
import json
import os
import re
import struct
import subprocess
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
RTAS = bytes.fromhex("7c641b78 3c600000 6063f000 44000022 4e800020")


def read_tree(blob):
    """A flattened device tree as nested dictionaries: properties are bytes, nodes are dictionaries."""
    magic, size, struct_at, strings_at = struct.unpack_from(">4I", blob)
    assert magic == 0xD00DFEED and size <= len(blob)
    root, path, at = {}, [], struct_at
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == 1:
            end = blob.index(0, at)
            node = {}
            if path:
                path[-1][blob[at:end].decode()] = node
            else:
                root = node
            path.append(node)
            at = (end + 4) & ~3
        elif token == 2:
            path.pop()
        elif token == 3:
            length, name = struct.unpack_from(">2I", blob, at)
            start = strings_at + name
            path[-1][blob[start : blob.index(0, start)].decode()] = blob[at + 8 : at + 8 + length]
            at = (at + 8 + length + 3) & ~3
        elif token == 9:
            return root
        else:
            assert token == 4, token


def as_dts(node, name="/"):
    """The source of a tree for dtc."""
    lines = [f"{name} {{"]
    for key, value in node.items():
        if isinstance(value, bytes):
            lines.append(f"{key} = [{value.hex()}];")
    for key, value in node.items():
        if isinstance(value, dict):
            lines.append(as_dts(value, key))
    return "\n".join(lines + ["};"])


def write_tree(node):
    source = "/dts-v1/;\n" + as_dts(node)
    return subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb"], input=source.encode(), capture_output=True, check=True).stdout


def text(value):
    return value.encode() + b"\0"


def unlock(tree, key):
    for name, lockbox in tree["lockboxes"].items():
        try:
            return name, key.decrypt(lockbox["encrypted-symkey"], OAEP)
        except ValueError:
            continue
    raise SystemExit("no lockbox opens")


def unseal(key, part):
    assert part["algorithm"] == text("AES256-GCM") and len(part["iv"]) == 16 and len(part["mac"]) == 16
    return AESGCM(key).decrypt(part["iv"], part["ciphertext"] + part["mac"], None)


def seal(key, plaintext):
    iv = os.urandom(16)
    sealed = AESGCM(key).encrypt(iv, plaintext, None)
    return {
        "algorithm": text("AES256-GCM"),
        "untrusted-comment": text(""),
        "ciphertext": sealed[:-16],
        "iv": iv,
        "mac": sealed[-16:],
    }


def names(node, kind):
    return {name for name, value in node.items() if isinstance(value, kind)}


def has(node, properties, nodes=()):
    """A node has exactly these properties and nodes: the public tools refuse one more and one less."""
    assert names(node, bytes) == set(properties), sorted(names(node, bytes))
    assert names(node, dict) == set(nodes), sorted(names(node, dict))


def check_sealed(part):
    has(part, {"algorithm", "untrusted-comment", "ciphertext", "iv", "mac"})
    assert part["untrusted-comment"].endswith(b"\0") and b"\n" not in part["untrusted-comment"]


def check_form(tree):
    """What open-power's svm-tool checks of a blob before it does anything with it."""
    has(tree, {"compatible"}, {"lockboxes", "digest", "file"})
    assert "origin-lockbox" in tree["lockboxes"]
    has(tree["lockboxes"], (), tree["lockboxes"].keys())
    for name, box in tree["lockboxes"].items():
        assert name == "origin-lockbox" or re.fullmatch("lockbox-[1-9][0-9]*", name), name
        has(box, {"untrusted-comment", "encrypted-symkey"}, {"pubkey-fingerprint"})
        has(box["pubkey-fingerprint"], {"algorithm", "hash"})
        assert len(box["pubkey-fingerprint"]["hash"]) == 32
        assert b"\n" not in box["untrusted-comment"]
    has(tree["digest"], (), {"digests-fdt"})
    check_sealed(tree["digest"]["digests-fdt"])
    if "files-fdt" in tree["file"]:
        for name, part in read_tree(tree["file"]["files-fdt"])["files"].items():
            # A node's name by the Devicetree Specification, 2.2.1.
            assert re.fullmatch("[A-Za-z][0-9A-Za-z,._+-]{0,30}", name), name
            check_sealed(part)


def open_blob(blob_file, key_file):
    tree = read_tree(open(blob_file, "rb").read())
    assert tree["compatible"] == text("ibm,esm")
    check_form(tree)
    key = serialization.load_pem_private_key(open(key_file, "rb").read(), None)
    lockbox, symkey = unlock(tree, key)
    digests = read_tree(unseal(symkey, tree["digest"]["digests-fdt"]))["digests"]
    assert digests["algorithm"] == text("SHA512")
    files = {}
    if "files-fdt" in tree["file"]:
        nested = read_tree(tree["file"]["files-fdt"])
        assert nested["compatible"] == text("ibm,esm-file")
        files = {name: unseal(symkey, part).hex() for name, part in nested["files"].items()}
    boxes = {}
    for name, box in tree["lockboxes"].items():
        assert box["pubkey-fingerprint"]["algorithm"] == text("SHA256")
        boxes[name] = box["pubkey-fingerprint"]["hash"].hex()
    return {
        "lockbox": lockbox,
        "lockboxes": boxes,
        "kernel-size": struct.unpack(">I", digests["kernel-size"])[0],
        "digests": {name: digests[name].hex() for name in ("rtas", "kernel", "initrd", "bootargs")},
        "files": files,
    }


def lockbox(symkey, key_file):
    pem = open(key_file, "rb").read()
    return {
        "untrusted-comment": text(key_file),
        "encrypted-symkey": serialization.load_pem_public_key(pem).encrypt(symkey, OAEP),
        "pubkey-fingerprint": {"algorithm": text("SHA256"), "hash": hashlib.sha256(pem).digest()},
    }


def make_blob(spec):
    symkey = os.urandom(32)
    kernel, initrd = (open(spec[name], "rb").read() for name in ("kernel", "initrd"))
    sha = lambda data: hashlib.sha512(data).digest()
    digests = {
        "compatible": text("ibm,esm"),
        "digests": {
            "algorithm": text("SHA512"),
            "rtas": sha(RTAS),
            "kernel": sha(kernel),
            "kernel-size": struct.pack(">I", len(kernel)),
            "initrd": sha(initrd),
            "bootargs": sha(spec["cmdline"].encode()),
        },
    }
    # The firmware's own writer puts what came last first.
    boxes = {f"lockbox-{i + 1}": lockbox(symkey, file) for i, file in enumerate(spec["recipients"])}
    files = {name: seal(symkey, contents.encode()) for name, contents in spec["files"].items()}
    nested = write_tree({"compatible": text("ibm,esm-file"), "files": files})
    return write_tree(
        {
            "compatible": text("ibm,esm"),
            "lockboxes": {**dict(reversed(boxes.items())), "origin-lockbox": lockbox(symkey, spec["origin"])},
            "digest": {"digests-fdt": seal(symkey, write_tree(digests))},
            "file": {"files-fdt": nested} if files else {},
        }
    )


def member(name, mode, contents, number):
    fields = [number, mode, 0, 0, 2 if mode & 0o040000 else 1, 1700000000, len(contents), 8, 1, 0, 0, len(name) + 1, 0]
    data = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    data += bytes(-len(data) % 4) + contents
    return data + bytes(-len(data) % 4)


def archive(blob):
    """What `find . | cpio -o -H newc` makes of a folder with opt/ibm/pef/esmb.bin."""
    out = b""
    for number, name in enumerate([".", "opt", "opt/ibm", "opt/ibm/pef"]):
        out += member(name, 0o040755, b"", number + 1)
    out += member("opt/ibm/pef/esmb.bin", 0o100644, blob, 9) + member("TRAILER!!!", 0, b"", 0)
    return out + bytes(-len(out) % 512)


def main(command, *args):
    if command == "open":
        print(json.dumps(open_blob(*args)))
    elif command == "make":
        spec = json.load(open(args[0]))
        blob = make_blob(spec)
        open(spec["out"], "wb").write(blob)
        open(spec["out-initrd"], "wb").write(archive(blob) + open(spec["initrd"], "rb").read())
    else:
        print(AESGCM(bytes(range(32))).encrypt(bytes(range(16)), b"hello, SVM\n", None).hex())


main(*sys.argv[1:])
