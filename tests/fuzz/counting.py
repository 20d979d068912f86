"""Plugin of pytest that writes outcomes down for the table of faults: `-p tests.fuzz.counting --outcomes FILE`."""

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="file that a line for each test is written to, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--outcomes") is not None:
        config.pluginmanager.register(Outcomes(config.getoption("--outcomes")))


class Outcomes:
    """Writes a line for each test that ran: its name, whether it passed, and how many things it tried."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (report.when == "call" and not report.skipped) or report.failed:
            tried = dict(report.user_properties).get("tried", 1)
            json.dump({"test": report.nodeid, "passed": report.passed, "tried": tried}, self._file)
            self._file.write("\n")
