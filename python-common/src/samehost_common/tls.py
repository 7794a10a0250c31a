"""The files of TLS, for servers and clients on both engines."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from samehost_common.errors import OptionError
from samehost_common.probe import reason

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Pems:
    """The content of the files, in PEM."""

    certificate: bytes | None
    """The certificate chain of this end."""
    key: bytes | None
    ca: bytes | None
    """The authorities that issue the certificates of the other end."""


def read_pems(certificate: AnyPath | None, key: AnyPath | None, ca: AnyPath | None) -> Pems | None:
    """Reads the files; returns None if none is given.

    Raises:
        OptionError: a file cannot be read or has no PEM, the key does not belong to the certificate, one of both is
            missing, or a value is not a path.
    """
    certificate, key, ca = pem_paths(certificate, key, ca)
    if (certificate is None) != (key is None):
        raise OptionError(f"invalid certificate {certificate!r} with key {key!r}: use both or neither")
    chain, private_key = _pair(certificate, key) if certificate is not None and key is not None else (None, None)
    authorities = None if ca is None else _authorities(ca)
    if chain is None and authorities is None:
        return None
    return Pems(chain, private_key, authorities)


def pem_paths(
    certificate: AnyPath | None, key: AnyPath | None, ca: AnyPath | None
) -> tuple[str | None, str | None, str | None]:
    """Returns absolute paths, so that a program can change its working directory.

    Raises:
        OptionError: a value is not a path.
    """
    return _absolute("certificate", certificate), _absolute("key", key), _absolute("ca", ca)


def _absolute(name: str, path: object) -> str | None:
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise OptionError(f"invalid {name} {path!r}: use the path of a PEM file")
    return str(Path(path).absolute())


def _pair(certificate: str, key: str) -> tuple[bytes, bytes]:
    try:
        # grpc does not check the files: with a wrong key it would serve, and every handshake would fail.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        return Path(certificate).read_bytes(), Path(key).read_bytes()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise OptionError(
            f"cannot use certificate {certificate!r} with key {key!r}: {_reason(error)}; "
            f"use a PEM certificate chain and its unencrypted PEM key"
        ) from error


def _authorities(ca: str) -> bytes:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
        return Path(ca).read_bytes()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"cannot use ca {ca!r}: {_reason(error)}; use a PEM file of the authority's certificate"
        ) from error


def _reason(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)


def _no_password() -> str:
    raise ValueError("the key is encrypted")
