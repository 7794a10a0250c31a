"""Tests what happens to calls when servers are replaced, killed and attacked: `nox -s faults`."""
