"""CDP keys: every form in which a secret is delivered, loaded without ever being shown (auth.md §1)."""

import base64
import binascii
from typing import NoReturn, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey

ES256 = "ES256"
EDDSA = "EdDSA"
_SEED_BYTES = 32


class BadKey(ValueError):  # noqa: N818 - pairs with BadWire
    """A key that cannot be used. Says what is wrong with its form; never contains any of it."""


class SigningKey:
    """A key's name, its algorithm, and the private part, which no text form of this object shows.

    It can be neither pickled nor copied into a message.
    """

    __slots__ = ("algorithm", "name", "private")

    def __init__(self, name: str, private: PrivateKey) -> None:
        if not name:
            raise BadKey("the key has no name")
        self.name = name
        self.private = private
        self.algorithm = algorithm_of(private.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm}, redacted)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key does not leave its process")

    def verifying(self) -> "VerifyingKey":
        """The public part."""
        return VerifyingKey(self.name, self.private.public_key())


class VerifyingKey:
    """A registered key as the venue knows it."""

    __slots__ = ("algorithm", "name", "public")

    def __init__(self, name: str, public: PublicKey) -> None:
        self.name = name
        self.public = public
        self.algorithm = algorithm_of(public)


def algorithm_of(public: object) -> str:
    """ES256 or EdDSA. Raises BadKey: neither P-256 nor Ed25519."""
    if isinstance(public, Ed25519PublicKey):
        return EDDSA
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return ES256
    raise BadKey("the key is neither ECDSA P-256 nor Ed25519")


class _KeyFile(msgspec.Struct):
    privateKey: str = ""  # noqa: N815 - the file's spelling
    name: str = ""
    id: str = ""


def load_key_file(content: bytes | str) -> SigningKey:
    """Load the JSON file that the portal delivers: `privateKey` with `name` or `id`.

    Raises:
        BadKey: no JSON object, no name, no usable secret.
    """
    try:
        file = msgspec.json.decode(content, type=_KeyFile)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadKey("the key file is not a JSON object with text members name (or id) and privateKey") from None
    return load_key(file.name or file.id, file.privateKey)


def load_key(name: str, secret: str) -> SigningKey:
    """Load a key from its name and secret: SEC1 or PKCS#8 PEM, or base64 of an Ed25519 seed with or without public key.

    Quotes around the secret and backslash-n in place of newlines, as environment variables hold them, are put right.

    Raises:
        BadKey: in words that tell the forms apart.
    """
    text = secret.strip().strip("\"'").replace("\\r", "").replace("\\n", "\n").strip()
    if not text:
        raise BadKey("the secret is empty")
    return SigningKey(name.strip(), _from_pem(text) if text.startswith("-----BEGIN") else _from_base64(text))


def _from_pem(text: str) -> PrivateKey:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise BadKey("the PEM key is protected by a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("the PEM key is damaged, or is not a private key") from None
    if isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey):
        return key
    raise BadKey("the key is neither ECDSA P-256 nor Ed25519")


def _from_base64(text: str) -> PrivateKey:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadKey("the secret is neither PEM nor base64") from None
    if len(data) not in (_SEED_BYTES, 2 * _SEED_BYTES):
        raise BadKey(f"an Ed25519 secret has 32 or 64 bytes, this one {len(data)}")
    key = Ed25519PrivateKey.from_private_bytes(data[:_SEED_BYTES])
    if data[_SEED_BYTES:] not in (b"", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)):
        raise BadKey("the two halves of the Ed25519 secret do not belong together")
    return key


def load_public_key(name: str, pem: str) -> VerifyingKey:
    """Load a registered public key. Raises BadKey: damaged, or of another kind."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("the public key is damaged") from None
    if isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey):
        return VerifyingKey(name, key)
    raise BadKey("the key is neither ECDSA P-256 nor Ed25519")
