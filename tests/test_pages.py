"""Every code block of the documentation is checked, and its commands and configuration are valid.

test_docs runs the blocks in Python, and test_languages and test_examples those in other languages.
"""

import argparse
import itertools
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

import samehost_client.commands
import samehost_demo.commands
import samehost_server.commands
from blocks import INCLUDE, PAGES, ROOT, Block, blocks, has_lines
from running import WITHIN, required
from samehost_interop.cases import CASES
from samehost_interop.cells import all_cells, select
from samehost_interop.known_failing import load_known_failing
from samehost_interop.peers import load_peers
from samehost_interop.plugin import pytest_addoption

CHECKED = {"console", "proto", "python", "text", "toml", "yaml"}
"""The languages of blocks that tests check on every page. `text` is output or a drawing."""

CHECKED_ELSEWHERE = ("examples/", "languages/")
"""Pages whose other blocks test_examples and test_languages compile and run."""

COMMANDS = [
    (page, command)
    for page in PAGES
    for block in blocks(ROOT / page)
    if block.language == "console"
    for command in block.commands()
]
CONFIGURATION = [(page, block) for page in PAGES for block in blocks(ROOT / page) if block.language in ("toml", "yaml")]

NOT_RUN = {
    ".": "is a part of the shell",
    "source": "is a part of the shell",
    "groupadd": "needs root",
    "install": "needs root",
    "systemctl": "needs root",
    "useradd": "needs root",
    "cp": "needs root",
    "kubectl": "needs a cluster; test_deploy checks the manifest",
    "haproxy": "runs in test_proxies",
    "nginx": "runs in test_proxies",
    "buf": "runs in test_examples",
    "build/client": "runs in test_examples",
    "build/server": "runs in test_examples",
    "rake": "runs in test_examples and `nox -s native`",
    "ruby": "runs in test_examples",
    "rubocop": "runs in `nox -s lint`",
    "uv": "installs the example, whose requirements the test environment has",
    "cargo": "runs in test_examples, test_languages and `nox -s native`",
    "cmake": "runs in test_examples and `nox -s interop`",
    "dotnet": "runs in test_examples, test_languages and `nox -s native`",
    "go": "runs in test_examples, test_languages and `nox -s native`",
    "java": "runs in test_examples",
    "mvn": "runs in test_examples and `nox -s native`",
    "node": "runs in test_examples",
    "npm": "runs in test_examples, test_languages and `nox -s native`",
}
"""Programs whose commands are only checked for the files that they name, and why, or what runs the same instead."""

CLICK = {
    "samehost": samehost_client.commands.command,
    "samehost-demo": samehost_demo.commands.command,
    "samehost-server": samehost_server.commands.command,
}
PEERS = load_peers(ROOT / "interop" / "peers.toml")
COMMANDS_OF_PEERS = {"serve", "greet", "interop"}
GENERATED = {"bin", "build", "dist", "generated", "target", ".venv"}
"""Folders that builds create."""


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_check(page: str) -> None:
    for block in blocks(ROOT / page):
        if not page.startswith(CHECKED_ELSEWHERE):
            assert block.language in CHECKED, f"nothing checks this block; use one of {sorted(CHECKED)}:\n{block.text}"
    if not page.startswith("docs/reference/"):  # its indented lines are options
        outside = re.sub(r"^( *)```.*?^\1```$", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"\n\n    [^ *-].*", outside) == [], "indented code is not checked: use a fence"


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_valid(page: str, command: str) -> None:
    folder = (ROOT / page).parent
    for words in simple_commands(command):
        program, *arguments = words
        if program in CHECKS:
            CHECKS[program](arguments, folder)
        elif COMMANDS_OF_PEERS & set(arguments):
            check_peer(words, folder)
        else:
            assert program in NOT_RUN, f"add a check for {program!r}, or a reason to NOT_RUN"
        check_files(arguments, folder)


def test_each_reason_is_needed() -> None:
    assert set(NOT_RUN) <= {words[0] for _, command in COMMANDS for words in simple_commands(command)}


@pytest.mark.parametrize(("page", "block"), CONFIGURATION)
def test_configuration_is_valid(page: str, block: Block, tmp_path: Path) -> None:
    file = tmp_path / (block.title or f"block.{block.language}")
    if included := INCLUDE.fullmatch(block.text.strip()):
        assert (ROOT / included[1]).exists(), page  # and has tests itself
    elif block.title == "docker-compose.yml":
        file.write_text(block.text)
        check_compose(file)
    elif block.language == "yaml":
        assert has_lines((ROOT / "docker-compose.yml").read_text(), block.text)
    elif block.text.startswith("[["):
        file.write_text(block.text)
        load_known_failing(file, all_cells(PEERS, [*PEERS], [*CASES]))
    elif block.text.startswith("[connect."):
        messages = tomllib.loads(block.text)["connect"]
        known = tomllib.loads((ROOT / "interop" / "messages.toml").read_text())["connect"]
        assert messages == {name: known[name] for name in messages}
    else:
        file.write_text(block.text)
        load_peers(file)


def check_compose(file: Path) -> None:
    """Docker's own check, which needs no engine."""
    if shutil.which("docker") is None:
        message = "docker is not on PATH; see docs.docker.com/engine/install"
        pytest.fail(message) if required() else pytest.skip(message)
    command = ["docker", "compose", "--file", str(file), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
    assert done.returncode == 0, done.stderr


def simple_commands(command: str) -> list[list[str]]:
    """Splits a line of the shell into simple commands, without `sudo`."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [without_sudo(words) for words in commands if words]


def without_sudo(words: list[str]) -> list[str]:
    if words[0] != "sudo":
        return words
    return words[3:] if words[1] == "-u" else words[1:]


def check_files(arguments: list[str], folder: Path) -> None:
    """Every relative path is there, in the folder of the page or in the root, unless a build creates it."""
    for word in arguments:
        path = word.partition("[")[0].removeprefix("$PWD/")
        if "/" in path and re.fullmatch(r"[\w./-]+", path) and not path.startswith(("/", "./samehost", "samehost/")):
            top = path.removeprefix("./").partition("/")[0]
            exists = any((base / path.removesuffix("...")).exists() for base in (folder, ROOT))
            assert exists or top in GENERATED, f"{word} does not exist"


def check_click(program: str) -> Callable[[list[str], Path], None]:
    def check(arguments: list[str], _folder: Path) -> None:
        command: click.Command = CLICK[program]
        if isinstance(command, click.Group):
            _, found, arguments = command.resolve_command(click.Context(command), arguments)
            assert found, f"{program} has no such command"
            command = found
        command.make_context(program, arguments)  # raises click.UsageError

    return check


def check_uvx(arguments: list[str], _folder: Path) -> None:
    program, *arguments = arguments
    if program == "pre-commit":
        assert (ROOT / ".pre-commit-config.yaml").exists()
        return
    assert program == "nox"
    nox, _, options = " ".join(arguments).partition(" -- ")
    sessions = set(re.findall(r"^@nox\.session\ndef (\w+)\(", (ROOT / "noxfile.py").read_text(), re.MULTILINE))
    assert set(nox.split()) - {"-s"} <= sessions
    if "interop" in nox:
        check_matrix(shlex.split(options))


def check_matrix(arguments: list[str]) -> None:
    """Parses the options of the matrix: those of its plugin, and those of pytest that the pages use."""
    parser = argparse.ArgumentParser()
    group: Any = SimpleNamespace(addoption=parser.add_argument)
    pytest_addoption(cast("Any", SimpleNamespace(getgroup=lambda *_: group)))
    parser.add_argument("-k")
    parser.add_argument("-n", type=int)
    parser.add_argument("-x", action="store_true")
    options = parser.parse_args(arguments)
    for option in ("client", "server"):
        select(f"--{option}", getattr(options, option), [*PEERS, "toy"])  # raises ConfigurationError
    select("--case", options.case, CASES)


def check_python(arguments: list[str], folder: Path) -> None:
    if arguments[:2] == ["-m", "samehost_interop"]:
        check_matrix(arguments[2:])
    elif arguments[0] == "-m" and arguments[1].startswith("samehost_"):
        check_peer(arguments, folder)
    else:
        assert arguments[0].endswith(".py") or arguments[1] in ("venv", "grpc_tools.protoc")


def check_pip(arguments: list[str], _: Path) -> None:
    assert arguments[0] == "install"


def check_apt(arguments: list[str], _folder: Path) -> None:
    """CI installs the same packages."""
    assert set(arguments) - {"install"} <= set(re.findall(r"[\w+.-]+", (ROOT / ".ci" / "packages").read_text()))


def check_docker(arguments: list[str], _: Path) -> None:
    assert arguments[0] == "compose"
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "interop" / "docker-compose.yml").read_text()
    for option, value in itertools.pairwise(arguments):
        if option == "--profile":
            assert f"profiles: [{value}]" in text
        if option == "--exit-code-from":
            assert f"\n  {value}:\n" in text


def check_peer(words: list[str], folder: Path) -> None:
    """A program of peers.toml, with options of PROTOCOL.md. The socket suite checks them with every peer."""
    (at,) = (index for index, word in enumerate(words) if word in COMMANDS_OF_PEERS)
    if words[0] not in ("server", "client"):  # the aliases of dotnet
        check_program(words[:at], folder)
    (usage,) = re.findall(rf"^\| `({words[at]} --socket .+?)` \|", (ROOT / "PROTOCOL.md").read_text(), re.MULTILINE)
    options = {word for word in words[at + 1 :] if word.startswith("--")}
    assert options <= set(re.findall(r"--[\w-]+", usage))


def check_alias(arguments: list[str], folder: Path) -> None:
    check_program(shlex.split(arguments[0].partition("=")[2]), folder)


def check_program(words: list[str], folder: Path) -> None:
    """Words that start a peer are in its table, whose paths are relative to interop/."""
    known = {word for peer in PEERS.values() for word in peer.serve + peer.client}
    for word in words:
        assert word in known or f"{folder.name}/{word}" in known, f"peers.toml has no program {word!r}"


CHECKS = {
    "alias": check_alias,
    **{program: check_click(program) for program in CLICK},
    "apt-get": check_apt,
    "docker": check_docker,
    "pip": check_pip,
    "python": check_python,
    "python3": check_python,
    "uvx": check_uvx,
}
