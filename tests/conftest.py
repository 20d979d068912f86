"""Tests on real photos are taken where those are: see real_data.py."""

import pytest

from tests import real_data


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_data: needs the sets of real photos that THREER_DATA names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not real_data.FOLDER.is_dir():
        absent = [item for item in items if item.get_closest_marker("real_data")]
        items[:] = [item for item in items if item not in absent]
        config.hook.pytest_deselected(items=absent)
