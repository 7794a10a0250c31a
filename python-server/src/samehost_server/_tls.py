"""TLS on the socket, for peers that insist on it: on one machine the socket's mode already says who may connect."""

import os
import ssl
from pathlib import Path

import grpc

from samehost_proto import OptionError


def server_credentials(
    certificate: str | os.PathLike[str] | None, key: str | os.PathLike[str] | None
) -> grpc.ServerCredentials | None:
    """Reads a certificate chain and its key, both PEM; None where neither is given.

    Raises:
        OptionError: only one is given, one can't be read, or they do not belong together.
    """
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
