"""What a call costs, ours and everyone's, in one run: `nox -s bench`."""
