"""Throw-away secrets of the venue: the API key that it accepts, and its own certificate authority for TLS."""

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.coinbase.keys import VerifyingKey, load_key_file

_VALID = timedelta(days=30)


def registered_key(path: Path) -> VerifyingKey:
    """The key in the file, in any form the portal delivers; a new ES256 key is written there if it is missing.

    Raises BadKey: the file holds no usable key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _new_key_file())
    return load_key_file(path.read_bytes()).verifying()


def tls_context(folder: Path, now: datetime | None = None) -> tuple[ssl.SSLContext, Path]:
    """A server context for this machine's own names, and the file of the authority that clients must trust."""
    now = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, server_key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    authority = _authority(authority_key, now)
    server = _server(server_key, authority_key, authority.subject, now)
    ca, chain = folder / "venue-ca.pem", folder / "venue-server.pem"
    ca.write_bytes(authority.public_bytes(Encoding.PEM))
    _write(chain, _pem(server_key) + server.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, ca


def _new_key_file() -> bytes:
    secret = _pem(generate_private_key(SECP256R1()), PrivateFormat.TraditionalOpenSSL).decode()
    name = f"organizations/{uuid4()}/apiKeys/{uuid4()}"
    return msgspec.json.encode({"name": name, "privateKey": secret})


def _pem(key: EllipticCurvePrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, from its first moment."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(content)


def _authority(key: EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "247trader embedded venue, throw-away authority")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _certificate(name, name, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identity, critical=False).sign(key, SHA256())


def _server(
    key: EllipticCurvePrivateKey, authority_key: EllipticCurvePrivateKey, issuer: x509.Name, now: datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses])
    builder = _certificate(name, issuer, key, now).add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    parent = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(parent, critical=False).sign(authority_key, SHA256())


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + _VALID)
