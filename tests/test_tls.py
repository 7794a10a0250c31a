"""TLS over the socket: it works with a valid certificate, and otherwise the error names the cause."""

import asyncio
import contextlib
import datetime
import importlib.util
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from running import WITHIN, Running, as_option, eventually, greeter, run, serving
from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client import CertificateError, SamehostError, TlsRequiredError, aio, connect, diagnose, explain
from samehost_demo.services import AsyncGreeterService, GreeterService
from samehost_server import OptionError

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
OWN = [("grpc.use_local_subchannel_pool", 1)]
NATIVE = [
    "native client, native server",
    "native client, grpcio server",
    "grpcio client, native server",
]


Issue = Callable[..., dict[str, Any]]


class Engines(NamedTuple):
    client: str
    server: str


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["grpcio client, grpcio server", *NATIVE])
def engines(request: pytest.FixtureRequest) -> Engines:
    client, server = (each.split()[0] for each in request.param.split(", "))
    if "native" in (client, server) and importlib.util.find_spec("samehost_native") is None:
        pytest.skip("samehost_native is not installed, because it needs Rust")
    return Engines(client, server)


@pytest.fixture
def ca(authority: trustme.CA, folder: Path) -> Path:
    """The file of the authority."""
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def files(folder: Path, certificate: trustme.LeafCert, name: str) -> dict[str, Any]:
    """Returns the options of an end with a certificate."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    return {"certificate": chain, "key": key}


@pytest.fixture
def issue(authority: trustme.CA, folder: Path) -> Issue:
    """Issues a certificate and returns the options of an end with it."""

    def issue(host: str, name: str = "server", **options: Any) -> dict[str, Any]:
        return files(folder, authority.issue_cert(host, **options), name)

    return issue


def greet(kind: str, path: Path, wait: float | None = None, name: str = "Ada", **options: Any) -> str:
    request = greeter_pb2.GreetRequest(name=name)
    options = {"options": OWN, **options}

    async def greet_in_loop() -> str:
        async with await aio.connect(path, wait=wait, **options) as channel:
            return (await greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=WITHIN)).message

    if kind == "aio":
        return asyncio.run(greet_in_loop())
    with connect(path, wait=wait, **options) as channel:
        return greeter_pb2_grpc.GreeterServiceStub(channel).Greet(request, timeout=WITHIN).message


def refusal(kind: str, path: Path, **options: Any) -> SamehostError:
    """Returns the error of a call that does not wait. `wait` has to raise the same error."""
    with pytest.raises(grpc.RpcError) as failed:
        greet(kind, path, **options)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    explained = explain(failed.value, path)
    assert "\n" not in str(explained)
    with pytest.raises(SamehostError) as waited:
        greet(kind, path, wait=0.5, **options)
    assert str(waited.value) == str(explained)
    return explained


def test_a_call_over_tls(kind: str, path: Path, issue: Issue, ca: Path, engines: Engines) -> None:
    with Running(kind, path, engine=engines.server, **issue("localhost")):
        for client in ("sync", "aio"):
            assert greet(client, path, ca=ca, engine=engines.client, wait=WITHIN) == "Hello, Ada!"


def test_large_messages_over_tls(kind: str, path: Path, issue: Issue, ca: Path, engines: Engines) -> None:
    class Service(GreeterService):
        def Greet(self, request: Any, context: Any) -> Any:  # noqa: ARG002
            return greeter_pb2.GreetResponse(message=f"Hello, {request.name}!")

    class AsyncService(AsyncGreeterService):
        async def Greet(self, request: Any, context: Any) -> Any:  # noqa: ARG002
            return greeter_pb2.GreetResponse(message=f"Hello, {request.name}!")

    name = "A" * 1024 * 1024
    service = Service() if kind == "sync" else AsyncService()
    with Running(kind, path, [service], engine=engines.server, **issue("localhost")):
        for client in ("sync", "aio"):
            assert greet(client, path, ca=ca, engine=engines.client, name=name) == f"Hello, {name}!"


def test_an_expired_certificate_is_refused(kind: str, path: Path, issue: Issue, ca: Path, engines: Engines) -> None:
    expired = issue("localhost", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1))
    with Running("sync", path, engine=engines.server, **expired):
        error = refusal(kind, path, ca=ca, engine=engines.client)
    assert isinstance(error, CertificateError)
    assert str(path) in str(error)
    assert "certificate has expired" in str(error)


def test_a_certificate_for_another_name_is_refused(
    kind: str, path: Path, issue: Issue, ca: Path, engines: Engines
) -> None:
    with Running("sync", path, engine=engines.server, **issue("other.example")):
        error = refusal(kind, path, ca=ca, engine=engines.client)
        other = [*OWN, ("grpc.ssl_target_name_override", "other.example")]
        assert greet(kind, path, ca=ca, engine=engines.client, options=other, wait=WITHIN) == "Hello, Ada!"
    assert isinstance(error, CertificateError)
    assert str(path) in str(error)
    assert "does not name localhost" in str(error)


def test_a_certificate_of_an_unknown_authority_is_refused(
    kind: str, path: Path, folder: Path, ca: Path, engines: Engines
) -> None:
    stranger = files(folder, trustme.CA().issue_cert("localhost"), "server")
    with Running("sync", path, engine=engines.server, **stranger):
        error = refusal(kind, path, ca=ca, engine=engines.client)
    assert isinstance(error, CertificateError)
    assert "unable to get local issuer certificate" in str(error)


def test_a_client_without_tls_gets_the_remedy(kind: str, path: Path, issue: Issue, engines: Engines) -> None:
    with Running("sync", path, engine=engines.server, **issue("localhost")):
        error = refusal(kind, path, engine=engines.client)
        assert isinstance(diagnose(path), TlsRequiredError)
        done = run("samehost_demo", "greet", "--socket", path, "--timeout", "1", *as_option(kind))
    assert isinstance(error, TlsRequiredError)
    assert str(path) in str(error)
    assert "grpc.ssl_channel_credentials" in str(error)
    assert (done.returncode, done.stderr) == (1, f"samehost-demo: {error}\n")


def test_a_server_without_tls_refuses_a_client_with_tls(kind: str, path: Path, ca: Path, engines: Engines) -> None:
    with Running("sync", path, engine=engines.server):
        error = refusal(kind, path, ca=ca, engine=engines.client)
    assert isinstance(error, CertificateError)
    assert str(path) in str(error)


def test_the_program_accepts_a_certificate_key_and_ca(kind: str, path: Path, issue: Issue, ca: Path) -> None:
    own = issue("localhost")
    given = ("--certificate", str(own["certificate"]), "--key", str(own["key"]))
    with serving(kind, path, *given):
        assert greet("sync", path, ca=ca, wait=WITHIN) == "Hello, Ada!"
    with serving(kind, path, *given, "--ca", str(ca)):
        client = issue("client.example", "client")
        assert greet("sync", path, ca=ca, wait=WITHIN, **client) == "Hello, Ada!"


def test_an_invalid_certificate_is_refused_before_a_file_is_created(
    kind: str, path: Path, folder: Path, authority: trustme.CA, issue: Issue
) -> None:
    given = issue("localhost")
    others = folder / "others.pem"
    others.write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())
    encrypted = folder / "encrypted.pem"
    key = load_pem_private_key(given["key"].read_bytes(), None)
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for wrong, fault in (
        ({"key": None}, "both or neither"),
        ({"certificate": folder / "none.pem"}, "no such file or directory"),
        ({"certificate": 5}, "invalid certificate 5: use the path of a PEM file"),
        ({"key": ""}, "invalid key '': use the path of a PEM file"),
        ({"ca": "a\0b"}, "embedded null byte"),
        ({"key": others}, "mismatch"),
        ({"key": given["certificate"]}, "cannot use certificate"),
        ({"key": encrypted}, "the key is encrypted"),
        ({"ca": given["key"]}, "cannot use ca"),
        ({"certificate": None, "key": None, "ca": given["certificate"]}, "the server has no certificate"),
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


def test_mutual_tls_refuses_a_client_without_a_certificate(
    kind: str, path: Path, issue: Issue, ca: Path, engines: Engines
) -> None:
    own = issue("localhost")
    client = issue("client.example", "client")
    stranger = files(ca.parent, trustme.CA().issue_cert("client.example"), "stranger")
    with Running(kind, path, engine=engines.server, ca=ca, **own):
        for other in ("sync", "aio"):
            assert greet(other, path, ca=ca, engine=engines.client, wait=WITHIN, **client) == "Hello, Ada!"
        for wrong in ({}, stranger):
            with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
                greet(kind, path, ca=ca, engine=engines.client, **wrong)


def test_a_server_knows_the_certificate_of_its_client(
    path: Path, issue: Issue, authority: trustme.CA, ca: Path, engines: Engines
) -> None:
    certificate = authority.issue_cert("client.example", "10.0.0.1", "ada@client.example", common_name="Ada")
    contexts: list[tuple[Any, list[Any], Any]] = []

    class Service(GreeterService):
        def Greet(self, request: Any, context: Any) -> Any:
            contexts.append((context.peer_identity_key(), list(context.peer_identities()), context.auth_context()))
            return super().Greet(request, context)

    own, client = issue("localhost"), files(ca.parent, certificate, "client")
    with Running("sync", path, [Service()], engine=engines.server, ca=ca, **own):
        greet("sync", path, ca=ca, engine=engines.client, wait=WITHIN, **client)
    ((key, identities, context),) = contexts
    names = [b"client.example", b"10.0.0.1", b"ada@client.example"]
    assert (key, identities) == ("x509_subject_alternative_name", names)
    assert context["transport_security_type"] == [b"ssl"]
    assert context["x509_common_name"] == [b"Ada"]
    assert context["x509_subject_alternative_name"] == names
    assert context["x509_pem_cert"] == [certificate.cert_chain_pems[0].bytes()]
    assert context["x509_subject"][0].startswith(b"CN=Ada,OU=")


def test_handshakes_that_never_finish_do_not_block_others(
    kind: str, path: Path, issue: Issue, ca: Path, engines: Engines
) -> None:
    own = issue("localhost")
    options = [("grpc.server_handshake_timeout_ms", 2000)]
    hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    half = hello.read()[:100]
    with Running(kind, path, engine=engines.server, options=options, **own), contextlib.ExitStack() as stack:
        halves = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(200)]
        for each in halves:
            each.connect(str(path))
            each.sendall(half)
            each.settimeout(WITHIN)
        assert greet(kind, path, ca=ca, engine=engines.client, wait=WITHIN) == "Hello, Ada!"
        for each in halves:
            assert ended(each)


def ended(connection: socket.socket) -> bool:
    """Waits until the other end closes a connection."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:  # it closed without reading everything
        pass
    return True


def test_credentials_of_grpc_work_with_grpcio(kind: str, path: Path, authority: trustme.CA) -> None:
    root = authority.cert_pem.bytes()
    own = grpc.ssl_server_credentials(
        [pems(authority.issue_cert("localhost"))], root_certificates=root, require_client_auth=True
    )
    with Running(kind, path, credentials=own, engine="grpcio"):
        key, chain = pems(authority.issue_cert("client.example"))
        credentials = grpc.ssl_channel_credentials(root, key, chain)
        assert greet(kind, path, credentials=credentials, wait=WITHIN, engine="grpcio") == "Hello, Ada!"
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            greet(kind, path, credentials=grpc.ssl_channel_credentials(root), engine="grpcio")


def test_the_native_engine_refuses_credentials_of_grpc(kind: str, path: Path, authority: trustme.CA) -> None:
    pytest.importorskip("samehost_native", reason="it needs Rust")
    with pytest.raises(OptionError, match="engine 'native' cannot read credentials of grpc; use ca, certificate"):
        greet(kind, path, credentials=grpc.ssl_channel_credentials(authority.cert_pem.bytes()), engine="native")
    own = grpc.ssl_server_credentials([pems(authority.issue_cert("localhost"))])
    with pytest.raises(OptionError, match="engine 'native' cannot read credentials of grpc"):
        Running(kind, path, credentials=own, engine="native")


def test_changed_files_are_used_for_new_connections(kind: str, path: Path, folder: Path, engines: Engines) -> None:
    def write(authority: trustme.CA, host: str, name: str) -> dict[str, Any]:
        ca = folder / f"{name}-ca.pem"
        authority.cert_pem.write_to_path(str(ca))
        return {**files(folder, authority.issue_cert(host), name), "ca": ca, "engine": getattr(engines, name)}

    def is_greeted() -> bool:
        try:
            return greet(kind, path, **client) == "Hello, Ada!"
        except grpc.RpcError:
            return False

    old, new = trustme.CA(), trustme.CA()
    with Running(kind, path, **write(old, "localhost", "server")):
        client = write(old, "client.example", "client")
        assert is_greeted()
        write(new, "localhost", "server")
        client = write(new, "client.example", "client")
        eventually(is_greeted, "the server uses the new files", pace=0.1)
        client = write(old, "client.example", "client")
        assert not is_greeted()


def test_changed_files_that_cannot_be_used_are_logged(
    path: Path, issue: Issue, ca: Path, engines: Engines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "samehost_server")
    own = issue("localhost")
    with Running("sync", path, engine=engines.server, **own):
        own["key"].write_text("no key")
        eventually(lambda: bool(caplog.records), "the server has noticed the file", pace=0.1)
        assert greet("sync", path, ca=ca, engine=engines.client) == "Hello, Ada!"
        issue("localhost")
        eventually(lambda: "uses the changed TLS files" in caplog.text, "the server has noticed the files", pace=0.1)
        assert greet("sync", path, ca=ca, engine=engines.client) == "Hello, Ada!"
    files = f"certificate {str(own['certificate'])!r} with key {str(own['key'])!r}"
    warning = f"the server of {path} continues with its old certificate: cannot use {files}: "
    assert caplog.records[0].getMessage().startswith(warning)


def test_renewed_credentials_of_grpc_are_used_for_new_connections(kind: str, path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    authority = [old]

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([pems(authority[0].issue_cert("localhost"))])

    own = grpc.dynamic_ssl_server_credentials(configuration(), configuration)
    with Running(kind, path, credentials=own, engine="grpcio"):
        for each in (old, new):
            authority[0] = each
            trusting = grpc.ssl_channel_credentials(each.cert_pem.bytes())
            assert greet(kind, path, credentials=trusting, wait=WITHIN, engine="grpcio") == "Hello, Ada!"


def test_credentials_and_a_certificate_are_refused(kind: str, path: Path, folder: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost")
    own = grpc.ssl_server_credentials([pems(certificate)])
    with pytest.raises(OptionError, match="invalid credentials: a certificate"):
        Running(kind, path, credentials=own, **files(folder, certificate, "server"))
    with pytest.raises(OptionError, match=r"invalid credentials 'chain\.pem'"):
        Running(kind, path, credentials="chain.pem")
    channel = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with pytest.raises(OptionError, match="invalid credentials: a ca"):
        greet(kind, path, credentials=channel, ca=folder / "server.pem")


def test_a_certificate_of_a_client_needs_a_ca(kind: str, path: Path, issue: Issue) -> None:
    with pytest.raises(OptionError, match="a client with TLS needs ca too"):
        greet(kind, path, **issue("client.example"))
