"""Cases for what Unix sockets add to gRPC: the file, its permissions, the end of its server, and clients' errors."""

from samehost_interop.socket_suite import client_cases, connection_cases, folder_cases, server_cases, takeover_cases

PREFIX = "socket/"
"""The prefix of these cases in ids and reports."""

SERVER_CASES = tuple(f"{PREFIX}{name}" for name in (*server_cases.CASES, *folder_cases.CASES, *connection_cases.CASES))
TAKEOVER_CASES = tuple(f"{PREFIX}{name}" for name in takeover_cases.CASES)
HARNESS_TAKEOVER_CASES = tuple(f"{PREFIX}{name}" for name in takeover_cases.HARNESS_CASES)
CLIENT_CASES = tuple(f"{PREFIX}{name}" for name in client_cases.CASES)
CASES = (*SERVER_CASES, *TAKEOVER_CASES, *HARNESS_TAKEOVER_CASES, *CLIENT_CASES)
