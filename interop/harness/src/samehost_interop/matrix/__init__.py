"""The tests of the matrix."""
