"""Other users who can write to the folder of the socket cannot make a server change or remove the files of others."""

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from running import Running, listening, make_stale, serves
from samehost_common import SamehostError, SocketAddress
from samehost_server import BindError, SocketInUseError
from samehost_server._socket_file import SocketFile


def private_prefix(path: Path) -> Path:
    """Returns the prefix of the private folders of a path, as PROTOCOL.md defines it."""
    return path.parent / f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"


@pytest.fixture
def victim(folder: Path) -> Iterator[Path]:
    """A folder of another user with a socket and a file, which must not change."""
    victim = folder / "victim"
    victim.mkdir(mode=0o700)
    secret = victim / "secret"
    secret.touch(mode=0o600)
    with listening(victim / "other.sock"):
        yield victim
        assert sorted(each.name for each in victim.iterdir()) == ["other.sock", "secret"]
        assert stat.S_IMODE(victim.stat().st_mode) == 0o700
        assert (stat.S_IMODE(secret.stat().st_mode), secret.stat().st_size) == (0o600, 0)


@contextlib.contextmanager
def starting(path: Path) -> Iterator[SocketFile]:
    """Yields the socket file of a server that is bound but not published."""
    file = SocketFile(SocketAddress(path), mode=0o666, gid=None, owner="test")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(file.claim(takeover=False).path))
            yield file
    finally:
        file.withdraw()


def test_a_folder_that_every_user_can_write_to_is_refused(kind: str, path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(BindError, match=rf"{path}: .* mode 0777"):
        Running(kind, path).__enter__()
    assert list(path.parent.iterdir()) == []


def test_trust_folder_serves_in_such_a_folder_and_warns(
    kind: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.chmod(0o777)
    with Running(kind, path, trust_folder=True):
        assert serves(path)
    (record,) = caplog.records
    assert record.message.startswith(f"{path}: every user can replace the socket")


def test_a_sticky_folder_is_accepted(kind: str, path: Path) -> None:
    path.parent.chmod(0o1777)
    with Running(kind, path):
        assert serves(path)


def test_a_link_with_the_name_of_a_private_folder_is_not_followed(kind: str, path: Path, victim: Path) -> None:
    link = Path(f"{private_prefix(path)}00000000")
    link.symlink_to(victim)
    with Running(kind, path):
        assert serves(path)
    assert link.is_symlink()


@pytest.mark.parametrize("put", ["link", "folder", "nothing"])
def test_a_replaced_private_folder_gives_no_access_to_other_folders(path: Path, victim: Path, put: str) -> None:
    with starting(path) as file:
        (private,) = path.parent.glob(f"{private_prefix(path).name}*")
        bound = next(each.name for each in private.iterdir())
        private.rename(path.parent / "was")
        if put == "link":
            (victim / bound).symlink_to(victim / "secret")
            private.symlink_to(victim)
        elif put == "folder":
            private.mkdir()
            (private / bound).symlink_to(victim / "secret")
        file.publish(lambda: None)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
    (victim / bound).unlink(missing_ok=True)
    assert not path.exists()


def test_a_file_that_appears_at_the_path_during_the_start_is_kept(path: Path) -> None:
    with starting(path) as file:
        path.write_text("dear diary")
        with pytest.raises(SocketInUseError, match=f"{path}: another file appeared"):
            file.publish(lambda: None)
    assert path.read_text() == "dear diary"
    assert sorted(each.name for each in path.parent.iterdir()) == ["app.sock", "app.sock.lock"]


def test_a_socket_that_replaces_a_stale_one_during_the_start_is_kept(path: Path) -> None:
    make_stale(path)
    with starting(path) as file:
        path.unlink()
        with listening(path), pytest.raises(SocketInUseError, match=f"{path}: another file appeared"):
            file.publish(lambda: None)
    assert path.is_socket()


def test_a_stale_socket_may_be_removed_during_the_start(path: Path) -> None:
    make_stale(path)
    with starting(path) as file:
        path.unlink()
        file.publish(lambda: None)
        assert path.is_socket()


def owned_by_nobody(lock: Path) -> None:
    lock.touch()
    os.chown(lock, 65534, 65534)


@pytest.mark.parametrize(
    ("put", "fragment"),
    [
        (lambda lock: lock.symlink_to(lock.parent / "victim" / "secret"), "regular file"),
        (lambda lock: lock.hardlink_to(lock.parent / "victim" / "secret"), "regular file"),
        (os.mkfifo, "regular file"),
        (lambda lock: lock.mkdir(), "regular file"),
        (make_stale, "regular file"),
        (lambda lock: lock.write_text("[" * 3000), "data of another program"),
        pytest.param(
            owned_by_nobody,
            "belongs to uid 65534",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a file of another user"),
        ),
    ],
    ids=["symbolic link", "hard link", "FIFO", "folder", "socket", "nested JSON", "of another user"],
)
def test_a_lock_file_that_another_user_could_have_created_is_refused(
    kind: str, path: Path, victim: Path, put: Callable[[Path], object], fragment: str
) -> None:
    put(path.with_name("app.sock.lock"))
    with pytest.raises(BindError, match=fragment) as refused:
        Running(kind, path).__enter__()
    assert str(path) in str(refused.value)
    assert victim.is_dir()


@pytest.mark.parametrize("mode", [0o666, 0o444, 0o000])
def test_a_lock_file_that_others_could_lock_becomes_private(kind: str, path: Path, mode: int) -> None:
    if os.geteuid() != 0 and not mode & stat.S_IWUSR:
        pytest.skip("only root can open a file without write permission; run as root")
    lock = path.with_name("app.sock.lock")
    lock.touch()
    lock.chmod(mode)
    with Running(kind, path):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o277, 0o777], ids=oct)
def test_every_umask_gives_the_same_modes(kind: str, path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with Running(kind, path):
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"app.sock": 0o660, "app.sock.lock": 0o600, "app.sock.takeover": 0o600}


def test_control_characters_of_a_lock_file_do_not_reach_the_terminal(kind: str, path: Path) -> None:
    lock = path.with_name("app.sock.lock")
    lock.write_text(json.dumps({"pid": "1\n\x1b[31m", "host": "h", "implementation": "x"}))
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SocketInUseError, match="another process holds") as refused:
            Running(kind, path).__enter__()
    assert str(refused.value).isprintable()


def test_a_server_runs_without_proc(kind: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: "/proc/self/fd" not in str(self) and exists(self))
    with Running(kind, path):
        assert serves(path)
    assert [each.name for each in path.parent.iterdir()] == ["app.sock.lock"]


def test_the_descriptors_of_folders_are_closed(kind: str, path: Path) -> None:
    def folders() -> list[str]:
        found = []
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(each.readlink()))
        return [each for each in found if each.startswith(str(path.parent))]

    with Running(kind, path):
        pass
    path.write_text("dear diary")
    with pytest.raises(SamehostError):
        Running(kind, path).__enter__()
    assert folders() == []
