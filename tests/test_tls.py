"""TLS over the socket: it works with a valid certificate, and otherwise the error names the cause."""

import asyncio
import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from running import WITHIN, Running, as_option, greeter, run, serving
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import CertificateError, SamehostError, TlsRequiredError, aio, connect, diagnose, explain
from samehost_server import OptionError

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
OWN = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def credentials(authority: trustme.CA) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes())


def files(folder: Path, certificate: trustme.LeafCert) -> dict[str, Any]:
    """Returns the options of a server with a certificate."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    return {"certificate": chain, "key": key}


def greet(kind: str, path: Path, credentials: grpc.ChannelCredentials | None, wait: float | None = None) -> str:
    request = greeter_pb2.GreetRequest(name="Ada")

    async def greet_in_loop() -> str:
        async with await aio.connect(path, wait=wait, credentials=credentials, options=OWN) as channel:
            return (await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=WITHIN)).message

    if kind == "aio":
        return asyncio.run(greet_in_loop())
    with connect(path, wait=wait, credentials=credentials, options=OWN) as channel:
        return greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=WITHIN).message


def refusal(kind: str, path: Path, credentials: grpc.ChannelCredentials | None) -> SamehostError:
    """Returns the error of a call that does not wait. `wait` has to raise the same error."""
    with pytest.raises(grpc.RpcError) as failed:
        greet(kind, path, credentials)
    explained = explain(failed.value, path)
    with pytest.raises(SamehostError) as waited:
        greet(kind, path, credentials, wait=0.5)
    assert str(waited.value) == str(explained)
    return explained


def test_a_call_over_tls(
    kind: str, path: Path, folder: Path, authority: trustme.CA, credentials: grpc.ChannelCredentials
) -> None:
    with Running(kind, path, **files(folder, authority.issue_cert("localhost"))):
        for client in ("sync", "aio"):
            assert greet(client, path, credentials, wait=WITHIN) == "Hello, Ada!"


def test_an_expired_certificate_is_refused(
    kind: str, path: Path, folder: Path, authority: trustme.CA, credentials: grpc.ChannelCredentials
) -> None:
    expired = authority.issue_cert("localhost", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1))
    with Running("sync", path, **files(folder, expired)):
        error = refusal(kind, path, credentials)
    assert isinstance(error, CertificateError)
    assert str(path) in str(error)
    assert "certificate has expired" in str(error)


def test_a_certificate_for_another_name_is_refused(
    kind: str, path: Path, folder: Path, authority: trustme.CA, credentials: grpc.ChannelCredentials
) -> None:
    with Running("sync", path, **files(folder, authority.issue_cert("other.example"))):
        error = refusal(kind, path, credentials)
    assert isinstance(error, CertificateError)
    assert str(path) in str(error)
    assert "does not name localhost" in str(error)


def test_a_certificate_of_an_unknown_authority_is_refused(
    kind: str, path: Path, folder: Path, credentials: grpc.ChannelCredentials
) -> None:
    with Running("sync", path, **files(folder, trustme.CA().issue_cert("localhost"))):
        error = refusal(kind, path, credentials)
    assert isinstance(error, CertificateError)
    assert "unable to get local issuer certificate" in str(error)


def test_a_client_without_tls_gets_the_remedy(kind: str, path: Path, folder: Path, authority: trustme.CA) -> None:
    with Running("sync", path, **files(folder, authority.issue_cert("localhost"))):
        error = refusal(kind, path, None)
        assert isinstance(diagnose(path), TlsRequiredError)
        done = run("samehost_demo", "greet", "--socket", path, "--timeout", "1", *as_option(kind))
    assert isinstance(error, TlsRequiredError)
    assert str(path) in str(error)
    assert "grpc.ssl_channel_credentials" in str(error)
    assert (done.returncode, done.stderr) == (1, f"samehost-demo: {error}\n")


def test_a_server_without_tls_refuses_a_client_with_tls(
    kind: str, path: Path, credentials: grpc.ChannelCredentials
) -> None:
    with Running("sync", path):
        error = refusal(kind, path, credentials)
    assert isinstance(error, CertificateError)
    assert str(path) in str(error)


def test_the_program_accepts_a_certificate_and_key(
    kind: str, path: Path, folder: Path, authority: trustme.CA, credentials: grpc.ChannelCredentials
) -> None:
    given = files(folder, authority.issue_cert("localhost"))
    with serving(kind, path, "--certificate", str(given["certificate"]), "--key", str(given["key"])):
        assert greet("sync", path, credentials, wait=WITHIN) == "Hello, Ada!"


def test_an_invalid_certificate_is_refused_before_a_file_is_created(
    kind: str, path: Path, folder: Path, authority: trustme.CA
) -> None:
    given = files(folder, authority.issue_cert("localhost"))
    others = folder / "others.pem"
    others.write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())
    encrypted = folder / "encrypted.pem"
    key = load_pem_private_key(given["key"].read_bytes(), None)
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for wrong, fault in (
        ({"key": None}, "both or neither"),
        ({"certificate": folder / "none.pem"}, "no such file or directory"),
        ({"key": others}, "mismatch"),
        ({"key": given["certificate"]}, "cannot use certificate"),
        ({"key": encrypted}, "the key is encrypted"),
    ):
        with pytest.raises(OptionError, match=fault):
            Running(kind, path, **{**given, **wrong})
    refused = run("samehost_server", "--socket", path, "--certificate", given["certificate"], *greeter(kind))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert not path.exists()
    assert not path.with_name("app.sock.lock").exists()


def pems(certificate: trustme.LeafCert) -> tuple[bytes, bytes]:
    """Returns the key and the chain of a certificate, in the order of grpc."""
    return (
        certificate.private_key_pem.bytes(),
        b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
    )


def test_mutual_tls_refuses_a_client_without_a_certificate(kind: str, path: Path, authority: trustme.CA) -> None:
    root = authority.cert_pem.bytes()
    own = grpc.ssl_server_credentials(
        [pems(authority.issue_cert("localhost"))], root_certificates=root, require_client_auth=True
    )
    with Running(kind, path, credentials=own):
        key, chain = pems(authority.issue_cert("client.example"))
        assert greet(kind, path, grpc.ssl_channel_credentials(root, key, chain), wait=WITHIN) == "Hello, Ada!"
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, grpc.ssl_channel_credentials(root))


def test_a_renewed_certificate_is_used_for_new_connections(kind: str, path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    authority = [old]

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([pems(authority[0].issue_cert("localhost"))])

    own = grpc.dynamic_ssl_server_credentials(configuration(), configuration)
    with Running(kind, path, credentials=own):
        for each in (old, new):
            authority[0] = each
            trusting = grpc.ssl_channel_credentials(each.cert_pem.bytes())
            assert greet(kind, path, trusting, wait=WITHIN) == "Hello, Ada!"


def test_credentials_and_a_certificate_are_refused(kind: str, path: Path, folder: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost")
    own = grpc.ssl_server_credentials([pems(certificate)])
    with pytest.raises(OptionError, match="invalid credentials: a certificate"):
        Running(kind, path, credentials=own, **files(folder, certificate))
    with pytest.raises(OptionError, match=r"invalid credentials 'chain\.pem'"):
        Running(kind, path, credentials="chain.pem")
