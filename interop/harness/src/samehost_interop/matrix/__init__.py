"""The matrix as pytest sees it."""
