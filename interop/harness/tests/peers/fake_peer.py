"""A peer with the output of the protocol but without gRPC. Its first argument names its behaviour.

At each start it appends a line with its process id and its arguments to the file in FAKE_PEER_LOG.
"""

import argparse
import json
import os
import signal
import socket
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("behaviour")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("serve", "interop"):
        command = commands.add_parser(name)
        command.add_argument("--socket", type=Path, required=True)
        command.add_argument("--case", action="append", default=[])
    options = parser.parse_args()
    with Path(os.environ["FAKE_PEER_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\n")
    print(f"stderr of {options.behaviour}", file=sys.stderr, flush=True)
    if options.command == "serve":
        return serve(options.behaviour, options.socket)
    return interop(options.behaviour, options.socket, options.case)


def print_line(line: object) -> None:
    print(line if isinstance(line, str) else json.dumps(line), flush=True)


def wait_forever() -> None:
    while True:
        signal.pause()


def serve(behaviour: str, path: Path) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ready = {"event": "ready", "address": f"unix:{path}", "pid": os.getpid(), "implementation": "fake", "version": "1"}
    match behaviour:
        case "never-ready":
            wait_forever()
        case "dies-at-start":
            return 3
        case "rubbish-at-start":
            print_line("Listening on port 50051")
        case "endless-rubbish":
            while True:
                sys.stdout.write("rubbish " * 1000)
        case "wrong-event":
            ready["event"] = "started"
        case "wrong-address":
            ready["address"] = f"unix://{path}"
        case "no-version":
            del ready["version"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        print_line(ready)
        if behaviour == "dies-in-use":
            listener.accept()
            return 3
        if behaviour == "ignores-sigterm":
            wait_forever()
        if behaviour == "talks-on":
            print_line("GET /")
        signal.sigwait({signal.SIGTERM})
    if behaviour != "leaves-its-socket":
        path.unlink()
    return 4 if behaviour == "fails-at-stop" else 0


def interop(behaviour: str, path: Path, cases: list[str]) -> int:
    exit_code = 0
    for case in cases:
        result = {"case": case, "result": "pass", "detail": "", "ms": 1.5}
        if behaviour == "connects":
            result |= {"result": "fail", "detail": connect_until_the_server_hangs_up(path)}
        elif case == "large_unary":
            if behaviour == "omits":
                continue
            result |= bad_result(behaviour, alone=len(cases) == 1)
        exit_code = exit_code if result["result"] == "pass" else 1
        print_line(result)
    match behaviour:
        case "talks-on":
            print_line("bye")
        case "never-ends":
            wait_forever()
    return {"lies-about-success": 0, "lies-about-failure": 1}.get(behaviour, exit_code)


def connect_until_the_server_hangs_up(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.recv(1)
    return "no reply"


def bad_result(behaviour: str, *, alone: bool) -> dict[str, str]:
    match behaviour:
        case "fails-once" if not alone:
            return {"result": "fail", "detail": "expected 314159 bytes, got 0"}
        case "dies":
            sys.exit(3)
        case "hangs":
            wait_forever()
        case "prints-rubbish":
            print_line("starting ...")
        case "invents-a-case":
            return {"case": "huge_unary"}
        case "invents-a-result":
            return {"result": "maybe"}
        case "fails" | "lies-about-success":
            return {"result": "fail", "detail": "expected 314159 bytes, got 0"}
        case "halves-a-pair":
            return {"result": "fail", "detail": "got \ud83d"}
        case "does-not-know":
            return {"result": "unimplemented"}
    return {}


if __name__ == "__main__":
    sys.exit(main())
