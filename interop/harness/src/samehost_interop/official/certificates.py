"""Provides certificates for servers with TLS: created for the run, or gRPC's test certificates in a client's image."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from samehost_interop.errors import PeerError

FOLDER = "/run/tls"
"""The folder of the files in containers."""

CERTIFICATE, KEY, AUTHORITY = f"{FOLDER}/certificate.pem", f"{FOLDER}/key.pem", f"{FOLDER}/authority.pem"

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


@contextmanager
def made_for_the_run() -> Iterator[Path]:
    """Create a folder with a certificate for `localhost`, its key, and the authority that signed it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    with _folder(
        certificate=b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        key=certificate.private_key_pem.bytes(),
        authority=authority.cert_pem.bytes(),
    ) as folder:
        yield folder


@contextmanager
def out_of(printed: str) -> Iterator[Path]:
    """Create a folder with the certificate and key that a client's image has printed.

    Raises:
        PeerError: the output has no certificate or no key.
    """
    blocks = {match[1]: match[0].encode() for match in _BLOCK.finditer(printed)}
    keys = [block for name, block in blocks.items() if name.endswith("PRIVATE KEY")]
    if "CERTIFICATE" not in blocks or not keys:
        raise PeerError(f"output of the client's image: expected a PEM certificate and key, got {printed[:200]!r}")
    with _folder(certificate=blocks["CERTIFICATE"], key=keys[0]) as folder:
        yield folder


@contextmanager
def _folder(**files: bytes) -> Iterator[Path]:
    """Create a folder that every user of a container can read. Its keys protect nothing."""
    folder = Path(tempfile.mkdtemp(prefix="tls-"))
    try:
        folder.chmod(0o755)
        for name, content in files.items():
            (folder / f"{name}.pem").write_bytes(content)
            (folder / f"{name}.pem").chmod(0o644)
        yield folder
    finally:
        shutil.rmtree(folder)
