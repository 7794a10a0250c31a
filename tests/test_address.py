"""Valid and invalid addresses."""

from pathlib import Path

import pytest

from samehost_common import MAX_PATH_BYTES, AddressError, SocketAddress

LONGEST = "/tmp/" + "x" * (MAX_PATH_BYTES - len("/tmp/"))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:/run/app/app.sock", "/run/app/app.sock"),
        ("unix:///run/app/app.sock", "/run/app/app.sock"),
        ("/run/app/app.sock", "/run/app/app.sock"),
        (Path("/run/app/app.sock"), "/run/app/app.sock"),
        (SocketAddress(Path("/run/app/app.sock")), "/run/app/app.sock"),
        ("unix:/run/a b/ü.sock:0", "/run/a b/ü.sock:0"),
        (LONGEST, LONGEST),
    ],
)
def test_valid(text: str | Path | SocketAddress, path: str) -> None:
    address = SocketAddress.parse(text)
    assert (str(address.path), str(address)) == (path, f"unix:{path}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the path is empty"),
        ("unix:", "the path is empty"),
        ("unix:app.sock", "not absolute"),
        ("app.sock", "not absolute"),
        ("unix-abstract:app", "not absolute"),
        ("unix://run/app.sock", "a host follows"),
        ("/run/app/", "names a folder"),
        ("/run/app/..", "names a folder"),
        ("/run/50%25.sock", "'%'"),
        ("/run/a#b", "'#'"),
        ("/run/a?b", "'?'"),
        ("/run/a,b", "','"),
        ("/run/a\0b", r"'\x00'"),
        ("/run/a\nb", r"'\n'"),
        (LONGEST + "x", "108 bytes"),
        ("/tmp/" + "ü" * 52, "109 bytes"),
    ],
)
def test_invalid(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=r"^invalid socket address ") as caught:
        SocketAddress.parse(text)
    assert reason in str(caught.value)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)
