"""TLS on the socket, for peers that require it. Without it, the mode of the socket already limits who can connect."""

from pathlib import Path

import grpc

from samehost_common import OptionError
from samehost_common.tls import AnyPath, Pems, pem_paths, read_pems


class TlsFiles:
    """The PEM files of a server, which may change while it runs."""

    def __init__(self, certificate: AnyPath | None, key: AnyPath | None, ca: AnyPath | None) -> None:
        """Reads the files.

        Raises:
            OptionError: the files cannot be used.
        """
        self._paths = pem_paths(certificate, key, ca)
        self._versions = self._current_versions()
        self.pems = read_pems(*self._paths)

    def changed(self) -> Pems | None:
        """Reads the files again if one of them has changed; returns None if none has.

        Raises:
            OptionError: the changed files cannot be used.
        """
        versions = self._current_versions()
        if versions == self._versions:
            return None
        self._versions = versions  # those of before the read, so that a change after it is seen the next time
        self.pems = read_pems(*self._paths)
        return self.pems

    def _current_versions(self) -> list[object]:
        return [_version(path) for path in self._paths if path is not None]


def _version(path: str) -> object:
    """Returns a value that changes when the file, or a link on the way to it, is written or replaced."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):  # it is missing, or its name has a null byte
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def server_tls(
    certificate: AnyPath | None,
    key: AnyPath | None,
    ca: AnyPath | None,
    credentials: grpc.ServerCredentials | None,
) -> TlsFiles | grpc.ServerCredentials | None:
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
    files = TlsFiles(certificate, key, ca)
    if files.pems is None:
        return None
    if files.pems.certificate is None:
        raise OptionError(f"invalid ca {ca!r}: the server has no certificate; give certificate and key too")
    return files
