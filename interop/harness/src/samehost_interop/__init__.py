"""Runs every client of the interop matrix against every server, over a Unix domain socket, and reports."""
