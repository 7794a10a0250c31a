"""TLS on the socket, for peers that require it. Without it, the mode of the socket already limits who can connect."""

import grpc

from samehost_common import OptionError
from samehost_common.tls import AnyPath, Pems, read_pems


def server_tls(
    certificate: AnyPath | None,
    key: AnyPath | None,
    ca: AnyPath | None,
    credentials: grpc.ServerCredentials | None,
) -> Pems | grpc.ServerCredentials | None:
    """Reads the files of a server, or returns the given credentials; None if nothing is given.

    Raises:
        OptionError: the files cannot be used, or both files and credentials are given.
    """
    if credentials is not None:
        if not isinstance(credentials, grpc.ServerCredentials):
            raise OptionError(f"invalid credentials {credentials!r}: use the result of grpc.ssl_server_credentials")
        if any(each is not None for each in (certificate, key, ca)):
            raise OptionError("invalid credentials: a certificate, key or ca is given too; use one of them")
        return credentials
    pems = read_pems(certificate, key, ca)
    if pems and pems.certificate is None:
        raise OptionError(f"invalid ca {ca!r}: the server has no certificate; give certificate and key too")
    return pems
