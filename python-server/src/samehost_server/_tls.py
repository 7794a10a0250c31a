"""TLS on the socket, for peers that insist on it: on one machine the socket's mode already says who may connect."""

import os
import ssl
from pathlib import Path

import grpc

from samehost_common import OptionError


def server_credentials(
    certificate: str | os.PathLike[str] | None,
    key: str | os.PathLike[str] | None,
    credentials: grpc.ServerCredentials | None,
) -> grpc.ServerCredentials | None:
    """Reads a certificate chain and its key, both PEM, or takes ready-made credentials; None where nothing is given.

    Raises:
        OptionError: only one of the files is given, one can't be read, they do not belong together, or both files and
            credentials are given.
    """
    if credentials is not None:
        if not isinstance(credentials, grpc.ServerCredentials):
            raise OptionError(f"credentials is {credentials!r}; give what grpc.ssl_server_credentials returns")
        if certificate is not None or key is not None:
            raise OptionError("both credentials and a certificate are given; give one of them")
        return credentials
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise OptionError(f"certificate is {certificate!r} and key is {key!r}; give both, or neither")
    try:
        # Python's own TLS checks what grpc does not: with a wrong key it would serve, and every handshake fail.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        chain, private_key = Path(certificate).read_bytes(), Path(key).read_bytes()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise OptionError(
            f"cannot use the certificate {os.fspath(certificate)!r} with the key {os.fspath(key)!r}: {reason}; "
            f"give a PEM certificate chain and its unencrypted PEM key"
        ) from error
    return grpc.ssl_server_credentials([(private_key, chain)])


def _no_password() -> str:
    raise ValueError("the key is encrypted")
