"""TLS on the socket, for peers that require it. Without it, the mode of the socket already limits who can connect."""

import os
import ssl
from pathlib import Path

import grpc

from samehost_common import OptionError
from samehost_common.probe import reason


def server_credentials(
    certificate: str | os.PathLike[str] | None,
    key: str | os.PathLike[str] | None,
    credentials: grpc.ServerCredentials | None,
) -> grpc.ServerCredentials | None:
    """Reads a PEM certificate chain and its PEM key, or returns the given credentials; None if nothing is given.

    Raises:
        OptionError: one file is missing or cannot be read, the files do not belong together, or both files and
            credentials are given.
    """
    if credentials is not None:
        if not isinstance(credentials, grpc.ServerCredentials):
            raise OptionError(f"invalid credentials {credentials!r}: use the result of grpc.ssl_server_credentials")
        if certificate is not None or key is not None:
            raise OptionError("invalid credentials: a certificate or key is given too; use one of them")
        return credentials
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise OptionError(f"invalid certificate {certificate!r} with key {key!r}: use both or neither")
    try:
        # grpc does not check the files: with a wrong key it would serve, and every handshake would fail.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        chain, private_key = Path(certificate).read_bytes(), Path(key).read_bytes()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = reason(error) if isinstance(error, OSError) else error
        raise OptionError(
            f"cannot use certificate {os.fspath(certificate)!r} with key {os.fspath(key)!r}: {why}; "
            f"use a PEM certificate chain and its unencrypted PEM key"
        ) from error
    return grpc.ssl_server_credentials([(private_key, chain)])


def _no_password() -> str:
    raise ValueError("the key is encrypted")
