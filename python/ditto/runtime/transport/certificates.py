"""Certificates for parties and callers, from an authority of one's own.

A certificate says one name: an address of IP, a URI, or else a host name. That name is who its holder is, so
nothing else in the certificate says one.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path, write_whole

AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "ca.pem", "ca.key"
CERTIFICATE, KEY = "host.pem", "host.key"

DAYS = 365
"""Days that a certificate is valid, if nothing else is said."""

AUTHORITY_DAYS = 3650

_CLOCKS = datetime.timedelta(hours=1)
"""A certificate is valid from this much before it was made: other machines' clocks may be behind."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]+")


class CertificateError(DittoError):
    """A certificate that cannot be made, or an authority that cannot make any."""


def general_name(name: str) -> x509.GeneralName:
    """What stands in the certificate of `name`.

    Raises:
        CertificateError: it is neither an address of IP, nor a URI, nor a host name.
    """
    if not name.isascii() or not name.isprintable() or not name or " " in name:
        raise CertificateError(
            f"name {name!r} must be an address of IP, a URI or a host name, in ASCII without spaces"
        )
    if "*" in name:
        raise CertificateError(f"name '{name}': a certificate is of one machine or caller; leave out the '*'")
    if "%" not in name:  # else an address with a zone, which means something on one machine only
        with contextlib.suppress(ValueError):
            return x509.IPAddress(ipaddress.ip_address(name))
    if "://" in name:
        if _URI.fullmatch(name) is None:
            raise CertificateError(f"name '{name}' is no URI such as spiffe://example/clinic")
        return x509.UniformResourceIdentifier(name)
    labels = name.split(".")
    if len(name) > 253 or labels[-1].isdecimal() or not all(map(_LABEL.fullmatch, labels)):
        lower = "; names are compared as they are written, so write it in lower case" if _upper(name) else ""
        raise CertificateError(
            f"name '{name}' is neither an address of IP, nor a URI, nor a host name such as "
            f"clinic.example, without a port{lower}"
        )
    return x509.DNSName(name)


def _upper(name: str) -> bool:
    return name != name.lower()


def certificate_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names, URIs and addresses of IP (in their shortest form) that a certificate says."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = (x509.DNSName, x509.UniformResourceIdentifier, x509.IPAddress)
    return tuple(str(name.value) for name in names if isinstance(name, kinds))


@dataclass(frozen=True)
class Authority:
    """Who signs certificates: `ca.pem` and `ca.key` in a folder.

    Attributes:
        folder: where they are.
        certificate: its own.
        key: its private key.
    """

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @classmethod
    def make(cls, folder: str | Path) -> Authority:
        """A new authority. The folder is made, for this user only, if it is not there.

        Raises:
            CertificateError: there is an authority already, or the files cannot be written.
        """
        folder = as_path(folder, "a folder", CertificateError)
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        # The number tells authorities apart, which all have the same name otherwise.
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, f"Ditto authority {identifier.digest.hex()[:16]}")]
        )
        now = _now()
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _CLOCKS)
            .not_valid_after(now + datetime.timedelta(days=AUTHORITY_DAYS) + _CLOCKS)
            # It signs certificates of machines, not of further authorities.
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(sign=False), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_new(
            {
                folder / AUTHORITY_KEY: (_pem_of_key(key), 0o600),
                folder / AUTHORITY_CERTIFICATE: (_pem(certificate), 0o644),
            }
        )
        return cls(folder, certificate, key)

    @classmethod
    def load(cls, folder: str | Path) -> Authority:
        """The authority in a folder, whoever made it.

        Raises:
            CertificateError: there is none, it is no authority, the key is not its, or its time is over.
        """
        folder = as_path(folder, "a folder", CertificateError)
        path, key_path = folder / AUTHORITY_CERTIFICATE, folder / AUTHORITY_KEY
        certificate = _read_certificate(path)
        if not _may_sign(certificate):
            raise CertificateError(f"'{path}' is not the certificate of an authority: it may not sign others")
        try:
            key = serialization.load_pem_private_key(_read(key_path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise CertificateError(f"'{key_path}' holds no private key without a password: {error}") from None
        if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise CertificateError(f"'{key_path}' must be a key for ECDSA or RSA")
        if key.public_key() != certificate.public_key():
            raise CertificateError(f"'{key_path}' is not the key of '{path}'")
        if not certificate.not_valid_before_utc <= _now() < certificate.not_valid_after_utc:
            raise CertificateError(
                f"'{path}' is valid from {_day(certificate.not_valid_before_utc)} to "
                f"{_day(certificate.not_valid_after_utc)} only; make a new authority in another folder, and "
                "give every machine its files anew"
            )
        return cls(folder, certificate, key)

    def issue(
        self,
        name: str,
        folder: str | Path,
        *,
        days: int = DAYS,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> x509.Certificate:
        """Writes a new key and its certificate, with the authority's, all that a machine needs.

        Args:
            name: who has it, see `general_name`.
            folder: for `host.key`, `host.pem` and `ca.pem`; made, for this user only, if it is not there.
            days: that it is valid, from now on.
            not_before: from when it is valid, with time zone; default: an hour ago.
            not_after: until when, in place of `days`.

        Raises:
            CertificateError: the name is none, one of the files is there already, they cannot be written,
                or the certificate would outlive the authority's.
        """
        folder = as_path(folder, "a folder", CertificateError)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), days, not_before, not_after)
        _write_new(
            {
                folder / KEY: (_pem_of_key(key), 0o600),
                folder / CERTIFICATE: (_pem(certificate), 0o644),
                folder / AUTHORITY_CERTIFICATE: (_pem(self.certificate), 0o644),
            }
        )
        return certificate

    def renew(self, name: str, folder: str | Path, *, days: int = DAYS) -> x509.Certificate:
        """Replaces `host.pem` by a new certificate for the same name and key; the key need not be here.

        Raises:
            CertificateError: there is none, it is of another name or authority; and see `issue`.
        """
        folder = as_path(folder, "a folder", CertificateError)
        path = folder / CERTIFICATE
        old = self.check_renewal(name, folder)
        key = old.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise CertificateError(f"'{path}' is for a key that is not ours")
        certificate = self._sign(name, key, days, None, None)
        try:
            write_whole(path, _pem(certificate))
        except OSError as error:
            raise CertificateError(f"cannot write '{path}': {error.strerror}") from None
        return certificate

    def check_renewal(self, name: str, folder: Path) -> x509.Certificate:
        """The certificate that `renew` replaces.

        Raises:
            CertificateError: there is none, or it is of another name or authority.
        """
        path = folder / CERTIFICATE
        old = _read_certificate(path)
        if certificate_names(old) != (str(general_name(name).value),):
            raise CertificateError(f"'{path}' is not the certificate of '{name}'")
        try:
            old.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise CertificateError(f"'{path}' is signed by another authority") from None
        return old

    def _sign(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        days: int,
        not_before: datetime.datetime | None,
        not_after: datetime.datetime | None,
    ) -> x509.Certificate:
        names = x509.SubjectAlternativeName([general_name(name)])
        now = _now()
        left = (self.certificate.not_valid_after_utc - now).days
        if not_after is None and not 1 <= days <= left:
            raise CertificateError(f"days must be 1 to {left}, which the authority has left, got {days}")
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        return (
            # Without a subject, so that the name stands in one place; it is critical then, says RFC 5280.
            x509.CertificateBuilder(self.certificate.subject, x509.Name([]), key, x509.random_serial_number())
            .not_valid_before(not_before or now - _CLOCKS)
            .not_valid_after(not_after or now + datetime.timedelta(days=days))
            .add_extension(names, critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign=True), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issuer(self.certificate), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _day(moment: datetime.datetime) -> str:
    return moment.date().isoformat()


def _key_usage(*, sign: bool) -> x509.KeyUsage:
    """Handshakes (`sign`) or certificates, nothing else."""
    return x509.KeyUsage(
        digital_signature=sign,
        key_cert_sign=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except (x509.ExtensionNotFound, ValueError):
        return False
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _issuer(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = certificate.public_key()
        assert isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read '{path}': {error.strerror}") from None


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        certificates = x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise CertificateError(f"'{path}' holds no certificate: {error}") from None
    if len(certificates) != 1:
        raise CertificateError(f"'{path}' must hold one certificate, not {len(certificates)}")
    return certificates[0]


def _write_new(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Writes all of `files`, (content, mode) by path, or none; folders that are missing are made.

    Raises:
        CertificateError: one exists, or cannot be written.
    """
    with contextlib.ExitStack() as undo:
        for path, (content, mode) in files.items():
            try:
                for folder in reversed([path.parent, *path.parent.parents]):
                    if not folder.exists():
                        folder.mkdir(mode=0o700)
                        undo.callback(folder.rmdir)
                # With its mode from the start: nobody else can read a key at any moment.
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
                undo.callback(path.unlink)
                with open(descriptor, "wb") as file:
                    file.write(content)
            except OSError as error:
                raise CertificateError(f"cannot write '{path}': {error.strerror}") from None
        undo.pop_all()
