"""Other users who may write to the folder of the socket gain nothing by what they put there."""

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


def private_beginning(path: Path) -> Path:
    """How the name of a path's private folder begins, as PROTOCOL.md has it."""
    return path.parent / f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"


@pytest.fixture
def victim(folder: Path) -> Iterator[Path]:
    """A folder of somebody else, with a socket and a file, that must stay as it is."""
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
    """The socket file of a server that listens in its private folder and has not published it."""
    file = SocketFile(SocketAddress(path), mode=0o666, gid=None, owner="test")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(file.claim(takeover=False).path))
            yield file
    finally:
        file.withdraw()


def test_a_folder_that_every_user_may_write_to_is_refused(kind: str, path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(BindError, match=rf"replace the socket {path}: .* has mode 0777; run chmod o-w {path.parent}"):
        Running(kind, path).__enter__()
    assert list(path.parent.iterdir()) == []


def test_such_a_folder_is_served_in_when_its_writers_are_trusted(
    kind: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.chmod(0o777)
    with Running(kind, path, trust_folder=True):
        assert serves(path)
    assert [record.message for record in caplog.records] == [
        f"every user can replace the socket {path}: {path.parent} has mode 0777"
    ]


def test_a_sticky_folder_is_served_in(kind: str, path: Path) -> None:
    path.parent.chmod(0o1777)
    with Running(kind, path):
        assert serves(path)


def test_a_link_where_a_private_folder_is_looked_for_is_left_alone(kind: str, path: Path, victim: Path) -> None:
    link = Path(f"{private_beginning(path)}00000000")
    link.symlink_to(victim)
    with Running(kind, path):
        assert serves(path)
    assert link.is_symlink()


@pytest.mark.parametrize("put", ["link", "folder", "nothing"])
def test_a_private_folder_that_is_replaced_leads_nowhere(path: Path, victim: Path, put: str) -> None:
    with starting(path) as file:
        (private,) = path.parent.glob(f"{private_beginning(path).name}*")
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


def test_what_appears_at_the_path_while_a_server_starts_is_kept(path: Path) -> None:
    with starting(path) as file:
        path.write_text("dear diary")
        with pytest.raises(SocketInUseError, match=f"someone put another file at {path} while this server started"):
            file.publish(lambda: None)
    assert path.read_text() == "dear diary"
    assert sorted(each.name for each in path.parent.iterdir()) == ["app.sock", "app.sock.lock"]


def test_what_takes_the_place_of_a_stale_socket_while_a_server_starts_is_kept(path: Path) -> None:
    make_stale(path)
    with starting(path) as file:
        path.unlink()
        with listening(path), pytest.raises(SocketInUseError, match=f"someone put another file at {path}"):
            file.publish(lambda: None)
    assert path.is_socket()


def test_a_stale_socket_that_is_removed_while_a_server_starts_is_no_matter(path: Path) -> None:
    make_stale(path)
    with starting(path) as file:
        path.unlink()
        file.publish(lambda: None)
        assert path.is_socket()


def owned_by_nobody(lock: Path) -> None:
    lock.touch()
    os.chown(lock, 65534, 65534)


@pytest.mark.parametrize(
    ("put", "fault"),
    [
        (lambda lock: lock.symlink_to(lock.parent / "victim" / "secret"), "cannot open the lock file"),
        (lambda lock: lock.hardlink_to(lock.parent / "victim" / "secret"), "no regular file with one name"),
        (os.mkfifo, "no regular file with one name"),
        (lambda lock: lock.mkdir(), "cannot open the lock file"),
        (lambda lock: lock.write_text("[" * 3000), "holds something else"),
        pytest.param(
            owned_by_nobody,
            "belongs to uid 65534",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user"),
        ),
    ],
    ids=["symbolic link", "hard link", "FIFO", "folder", "nested JSON", "another user's"],
)
def test_a_lock_file_that_another_user_could_have_made_is_refused(
    kind: str, path: Path, victim: Path, put: Callable[[Path], object], fault: str
) -> None:
    put(path.with_name("app.sock.lock"))
    with pytest.raises(BindError, match=fault) as refused:
        Running(kind, path).__enter__()
    assert str(path) in str(refused.value)
    assert victim.is_dir()


@pytest.mark.parametrize("mode", [0o666, 0o444, 0o000])
def test_a_lock_file_that_others_could_hold_becomes_private(kind: str, path: Path, mode: int) -> None:
    if os.geteuid() != 0 and not mode & stat.S_IWUSR:
        pytest.skip("only root can open what nobody may write to; run as root to see it")
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
        with pytest.raises(SocketInUseError, match="someone holds") as refused:
            Running(kind, path).__enter__()
    assert str(refused.value).isprintable()


def test_it_works_where_there_is_no_proc(kind: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: "/proc/self/fd" not in str(self) and exists(self))
    with Running(kind, path):
        assert serves(path)
    assert [each.name for each in path.parent.iterdir()] == ["app.sock.lock"]


def test_no_descriptor_of_a_folder_is_left(kind: str, path: Path) -> None:
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
