"""Loads the plugin that these tests share with those of the libraries."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give tests that use containers a second try."""
    config.pluginmanager.import_plugin("second_try")
