# /// script
# requires-python = ">=3.11"
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""Tasks of this repository: `nox --list` lists them, `nox -s NAME` runs one."""

import re
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "typecheck", "test"]

LOCK = "requirements.lock"
BENCH_LOCK = "bench/requirements.lock"
DOCS_LOCK = "docs/requirements.lock"
NATIVE = "python-native"
NATIVE_LOCK = f"{NATIVE}/requirements.lock"
PUBLISHED = ["python-common", "python-server", "python-client", "python-demo"]
PACKAGES = [*PUBLISHED, "interop/python", "interop/python-grpclib", "interop/harness"]
# Tests of the repository, not of the published packages.
NOT_OF_LIBRARIES = [
    "bench",
    "compose",
    "deploy",
    "docs",
    "examples",
    "languages",
    "pages",
    "permissions",
    "second_try",
    "wheels",
]
GROUPS = ["build", "lint", "proto", "test", "typecheck"]

# The protoc plugins for the stubs of each library. grpclib's stubs use the messages that are generated with grpcio's.
GRPCIO = ("python", "grpc_python", "mypy", "mypy_grpc")
GRPCLIB = ("grpclib_python",)

# The source root with the committed stubs of each part of the contract.
STUBS = [
    ("proto/samehost/greeter/v1", "python-demo/src", GRPCIO),
    ("proto/samehost/interop", "interop/python/src", GRPCIO),
    ("proto/samehost", "interop/python-grpclib/src", GRPCLIB),
]


@nox.session
def demo(session: nox.Session) -> None:
    """Show one server, one client, and all four kinds of call over a socket in a private folder."""
    # The lock is used as constraints, so that only packages for users are installed, and no development tools.
    session.install("--constraint", LOCK, *(f"./{package}" for package in PUBLISHED))
    session.run("python", "examples/demo.py")


@nox.session
def test(session: nox.Session) -> None:
    """Run the tests of the libraries, the commands and the peers, and those of Compose if Docker is available."""
    install_workspace(session)
    has_native = install_native(session)
    session.run("pytest", "--numprocesses=2", *session.posargs)
    if not session.posargs:
        # In a separate process, because grpclib and grpcio-health-checking both register messages of grpc.health.v1.
        session.run("pytest", "--numprocesses=2", "interop/python-grpclib/tests")
        if has_native:
            with session.chdir(NATIVE):  # this folder has its settings
                session.run("pytest", "--numprocesses=2")
        # Print what the peers' own tests (native) and the matrix (interop) leave out on this machine, and why.
        session.run("python", "-m", "samehost_interop.native", "needs")


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests of the libraries, installed from wheels, with the oldest dependencies that the packages allow."""
    session.install("uv")
    oldest, environment = Path(session.create_tmp(), "oldest.txt"), Path(session.create_tmp(), "environment.txt")
    compile_lock(session, str(oldest), [], "--all-extras", "--resolution=lowest-direct", packages=PUBLISHED)
    # Only the dependencies of users are old. Tools such as pytest keep their locked versions, because pip compile keeps
    # the versions that its output file already has.
    shutil.copy(LOCK, environment)
    compile_lock(session, str(environment), ["build", "test"], "--all-extras", f"--constraint={oldest}")
    install_workspace(session, str(environment), editable=False)
    libraries = (f"--ignore=tests/test_{name}.py" for name in NOT_OF_LIBRARIES)
    session.run("pytest", "--numprocesses=2", *(session.posargs or ["tests", *libraries]))


@nox.session
def interop(session: nox.Session) -> None:
    """Run every official interop case with every client and server: `interop -- --client python --case 'cancel_*'`."""
    install_workspace(session)
    install_native(session)
    session.run("python", "-m", "samehost_interop", *session.posargs)


@nox.session
def native(session: nox.Session) -> None:
    """Run the tests of peers and libraries with the tools of their languages: `native -- go dotnet`."""
    install_workspace(session)
    session.run("python", "-m", "samehost_interop.native", "test", *session.posargs)


@nox.session
def official(session: nox.Session) -> None:
    """Run gRPC's own client images against our servers: `official -- --client official-go --server all --tags all`."""
    install_workspace(session)
    session.run("python", "-m", "samehost_interop", "--suite", "official", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Replace, kill and attack Python servers under load: `faults -- --seconds 20 --inputs 2000`."""
    install_workspace(session)
    if not any(each.endswith("native") for each in session.posargs) or install_native(session):
        session.run("python", "-m", "faults", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what calls cost, with samehost and with alternatives: `bench -- --quick`, `bench -- --check`."""
    install_workspace(session, BENCH_LOCK)
    install_native(session)
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation in build/site and check its links; `docs -- serve` shows a live preview."""
    install_workspace(session, DOCS_LOCK)
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style of Python, contract, peers, libraries and examples; `lint -- --fix` fixes Python."""
    install_workspace(session)
    fix = "--fix" in session.posargs
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")
    with session.chdir("proto"):
        session.run("buf", "lint")
    session.run("python", "-m", "samehost_interop.native", "lint")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check all types with mypy's strict mode."""
    install_workspace(session)
    session.run(
        "mypy",
        "noxfile.py",
        "bench",
        "docs",
        "examples",
        "faults",
        "tests",
        *(f"{package}/src" for package in PACKAGES),
        f"{NATIVE}/python",
    )
    for package in ("interop/python", "interop/python-grpclib", "interop/harness", NATIVE):
        session.run("mypy", f"{package}/tests")
    session.run("mypy", "--platform=darwin", *(f"{package}/src" for package in PUBLISHED))


@nox.session
def proto(session: nox.Session) -> None:
    """Generate the Python stubs from the contract; `proto -- --check` fails if they differ."""
    install_workspace(session)
    if "--check" not in session.posargs:
        for contract, target, plugins in STUBS:
            generate(session, contract, Path(target), plugins)
        return
    for contract, target, plugins in STUBS:
        fresh = Path(session.create_tmp()) / target
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        generate(session, contract, fresh, plugins)
        if differing := differences(fresh, Path(target)):
            session.error(f"stubs differ from {contract}: {', '.join(differing)}; run `nox -s proto`")


@nox.session
def lock(session: nox.Session) -> None:
    """Lock the newest versions that the packages allow, with hashes: requirements.lock, and those of bench and docs."""
    session.install("uv")
    compile_lock(session, LOCK, GROUPS, "--upgrade")
    # The contenders of the bench are large and not part of the product. Common packages have the same versions.
    compile_lock(session, BENCH_LOCK, ["build", "bench"], "--upgrade", f"--constraint={LOCK}")
    compile_lock(session, DOCS_LOCK, ["build", "docs"], "--upgrade", f"--constraint={LOCK}")
    compile_lock(session, NATIVE_LOCK, ["native"], "--upgrade", packages=[])


def compile_lock(
    session: nox.Session, file: str, groups: Iterable[str], *options: str, packages: Iterable[str] = PACKAGES
) -> None:
    """Lock the dependencies of the packages and of these groups."""
    session.run(
        *("uv", "pip", "compile", "--universal", "--generate-hashes", "--python-version=3.11", *options),
        *("--quiet", "--no-header", f"--output-file={file}"),
        *(f"--no-emit-package={name}" for name in workspace_names()),
        *(f"--group=pyproject.toml:{group}" for group in groups),
        *(f"{package}/pyproject.toml" for package in packages),
    )


def install_workspace(session: nox.Session, lock: str = LOCK, *, editable: bool = True) -> None:
    """Install the locked packages by hash, and then build and install the workspace with only locked packages."""
    session.install("--require-hashes", "--requirement", lock)
    packages = [argument for package in PACKAGES for argument in (*["--editable"] * editable, f"./{package}")]
    session.install("--no-deps", "--no-build-isolation", "--reinstall", *packages)


def install_native(session: nox.Session) -> bool:
    """Build and install the native engine. Without Rust, log what is left out and return False."""
    if not shutil.which("cargo"):
        session.log("left out, because cargo is not on PATH: samehost-native, its tests and its peers in the matrix")
        return False
    session.install("--require-hashes", "--requirement", NATIVE_LOCK)
    session.install("--no-deps", "--no-build-isolation", "--reinstall", f"./{NATIVE}")
    return True


def generate(session: nox.Session, contract: str, target: Path, plugins: Iterable[str]) -> None:
    """Generate the stubs of one part of the contract, with types, in a source root."""
    outputs = [f"--{plugin}_out={target}" for plugin in plugins]
    files = sorted(str(file) for file in Path(contract).rglob("*.proto"))
    # Stubs reject a grpcio or protobuf that is older than their compiler. So the compiler comes from the oldest grpcio
    # that the packages allow, in an environment of its own. The other plugins come from this session.
    (oldest,) = re.findall(r'"grpcio>=([\d.]+)"', Path("python-demo/pyproject.toml").read_text())
    compiler = (
        "uv",
        "run",
        "--no-project",
        "--isolated",
        f"--with=grpcio-tools=={oldest}",
        "python",
        "-m",
        "grpc_tools.protoc",
    )
    session.run(*compiler, "--proto_path=proto", *outputs, *files)


def differences(fresh: Path, committed: Path) -> list[str]:
    """Return the stubs that are missing, superfluous or different."""
    # The folders under samehost/ in a source root contain only stubs.
    names = {file.relative_to(root) for root in (fresh, committed) for file in root.glob("samehost/**/*.py*")}
    names = {name for name in names if "__pycache__" not in name.parts}
    return sorted(str(name) for name in names if read(fresh / name) != read(committed / name))


def read(file: Path) -> bytes | None:
    """Read a file, or return None if it does not exist."""
    return file.read_bytes() if file.exists() else None


def workspace_names() -> list[str]:
    """Return the names of the packages in the workspace."""
    return [tomllib.loads(Path(package, "pyproject.toml").read_text())["project"]["name"] for package in PACKAGES]
