"""Measures what a call costs, with samehost and with alternatives: `nox -s bench`."""
