# /// script
# requires-python = ">=3.11"
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""What can be done with this repository; `nox --list` shows it, `nox -s NAME` does it."""

import shutil
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "typecheck", "test"]

LOCK = "requirements.lock"
PACKAGES = ["python-proto", "python-server", "python-client", "interop/python", "interop/harness"]
GROUPS = ["build", "lint", "proto", "test", "typecheck"]

# Where the stubs of each part of the contract are committed: a source root, so that they import as they are.
STUBS = {
    "proto/samehost/greeter/v1": "python-proto/src",
    "proto/samehost/interop": "interop/python/src",
}


@nox.session
def demo(session: nox.Session) -> None:
    """Show one server, one client, and all four kinds of call over a socket in a private folder."""
    # The lock as constraints: no tools are installed that a user of the libraries does not need.
    session.install("--constraint", LOCK, "./python-proto", "./python-server", "./python-client")
    session.run("python", "examples/demo.py")


@nox.session
def test(session: nox.Session) -> None:
    """Run the tests: of the libraries, the commands, the peers, and of Compose where Docker is there."""
    install_workspace(session)
    session.run("pytest", "--numprocesses=2", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Run every official interop case, client by server: `interop -- --client python --case 'cancel_*'`."""
    install_workspace(session)
    session.run("python", "-m", "samehost_interop", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style of Python and of the contract; `lint -- --fix` mends what can be mended."""
    install_workspace(session)
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")
    with session.chdir("proto"):
        session.run("buf", "lint")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types of everything, strictly."""
    install_workspace(session)
    session.run("mypy", "noxfile.py", "examples", "tests", *(f"{package}/src" for package in PACKAGES))
    for package in ("interop/python", "interop/harness"):
        session.run("mypy", f"{package}/tests")


@nox.session
def proto(session: nox.Session) -> None:
    """Generate the Python stubs from the contract; `proto -- --check` fails where they differ."""
    install_workspace(session)
    if "--check" not in session.posargs:
        for contract, target in STUBS.items():
            generate(session, contract, Path(target))
        return
    for contract, target in STUBS.items():
        fresh = Path(session.create_tmp()) / contract
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        generate(session, contract, fresh)
        if differing := differences(fresh, Path(target)):
            session.error(f"stubs differ from {contract}: {', '.join(differing)}; run `nox -s proto`")


@nox.session
def lock(session: nox.Session) -> None:
    """Lock the newest versions that the packages allow, with hashes, into requirements.lock."""
    session.install("uv")
    session.run(
        *("uv", "pip", "compile", "--universal", "--generate-hashes", "--upgrade", "--python-version=3.11"),
        *("--quiet", "--no-header", f"--output-file={LOCK}"),
        *(f"--no-emit-package={name}" for name in workspace_names()),
        *(f"--group=pyproject.toml:{group}" for group in GROUPS),
        *(f"{package}/pyproject.toml" for package in PACKAGES),
    )


def install_workspace(session: nox.Session) -> None:
    """Install what is locked, by hash, then the workspace itself, built with nothing that is not locked."""
    session.install("--require-hashes", "--requirement", LOCK)
    editable = [argument for package in PACKAGES for argument in ("--editable", f"./{package}")]
    session.install("--no-deps", "--no-build-isolation", *editable)


def generate(session: nox.Session, contract: str, target: Path) -> None:
    """Generate the stubs of one part of the contract, with types, into a source root."""
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    files = sorted(str(file) for file in Path(contract).glob("*.proto"))
    session.run("python", "-m", "grpc_tools.protoc", "--proto_path=proto", *outputs, *files)


def differences(fresh: Path, committed: Path) -> list[str]:
    """Name the stubs that are missing, left over or different."""
    names = {file.relative_to(fresh) for file in fresh.rglob("*_pb2*.py*")}
    names |= {file.relative_to(committed) for file in committed.rglob("*_pb2*.py*") if "__pycache__" not in file.parts}
    return sorted(str(name) for name in names if read(fresh / name) != read(committed / name))


def read(file: Path) -> bytes | None:
    """Read a file that may not be there."""
    return file.read_bytes() if file.exists() else None


def workspace_names() -> list[str]:
    """Name the packages of the workspace."""
    return [tomllib.loads(Path(package, "pyproject.toml").read_text())["project"]["name"] for package in PACKAGES]
