"""Writes vectors.json: secrets encrypted as the API server encrypts them, by other implementations than the one that is tested.

AES by OpenSSL through `cryptography` 50.0.2, secretbox by libsodium through `pynacl` 1.6.2:

    pip install cryptography pynacl && python3 vectors.py > vectors.json

The first AES-CBC vector is the one that this prints, too (behind the 16 bytes of the vector):

    openssl enc -aes-256-cbc -K KEY -iv VECTOR -in PLAIN
"""

import hashlib
import json

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.secret import SecretBox


def numbers(word, count):
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(word.encode()).digest(count)


def field(number, content):
    """A field of Protocol Buffers that holds bytes, below 128 of them."""
    return bytes([number << 3 | 2, len(content)]) + content


def protobuf(namespace, name):
    metadata = field(1, name.encode()) + field(3, namespace.encode())
    data = field(1, b"password") + field(2, b"swordfish-of-the-vectors")
    secret = field(1, metadata) + field(2, data) + field(3, b"Opaque")
    types = field(1, b"v1") + field(2, b"Secret")
    return b"k8s\0" + field(1, types) + field(2, secret) + field(3, b"") + field(4, b"")


def as_json(namespace, name):
    return json.dumps({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name},
        "data": {"password": "c3dvcmRmaXNoLW9mLXRoZS12ZWN0b3Jz"},
    }).encode()


def aescbc(key, plain, place, start):
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(start[:16])).encryptor()
    return start[:16] + encryptor.update(padded) + encryptor.finalize()


def aesgcm(key, plain, place, start):
    return start[:12] + AESGCM(key).encrypt(start[:12], plain, place)


def secretbox(key, plain, place, start):
    return bytes(SecretBox(key).encrypt(plain, start[:24]))


def vectors():
    ciphers = [(aescbc, 32), (aescbc, 24), (aescbc, 16), (aesgcm, 32), (aesgcm, 24), (aesgcm, 16), (secretbox, 32)]
    for cipher, length in ciphers:
        for write in (protobuf, as_json):
            word = f"{cipher.__name__} {length} {write.__name__}"
            key, start = numbers(f"key of {word}", length), numbers(f"start of {word}", 24)
            place = "/registry/secrets/payments/api"
            plain = write("payments", "api")
            prefix = f"k8s:enc:{cipher.__name__}:v1:key1:".encode()
            yield {
                "provider": cipher.__name__, "key": key.hex(), "place": place, "plain": plain.hex(),
                "stored": (prefix + cipher(key, plain, place.encode(), start)).hex(),
            }


if __name__ == "__main__":
    print(json.dumps(list(vectors()), indent=1))
