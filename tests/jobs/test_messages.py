"""Messages survive the wire, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threer_blender import __version__
from threer_blender.jobs.messages import (
    Cancel,
    Done,
    Download,
    Failed,
    Finished,
    Message,
    Notice,
    Preview,
    Progress,
    ReconstructionRequest,
    SetUp,
    from_line,
    request_from_line,
    to_line,
)
from threer_blender.model.errors import UserError

TEXT = st.text()
COUNT = st.integers(0, 10**12)
MESSAGES = st.one_of(
    st.builds(
        ReconstructionRequest,
        st.lists(TEXT),
        TEXT,
        TEXT,
        st.dictionaries(TEXT, st.one_of(TEXT, st.booleans(), st.integers())),
    ),
    st.builds(Download, TEXT, TEXT),
    st.builds(SetUp, st.lists(TEXT)),
    st.builds(Finished, TEXT),
    st.builds(Cancel),
    st.builds(Progress, TEXT, st.floats(0, 1), st.none() | st.floats(0, 1e6), st.booleans()),
    st.builds(Preview, TEXT),
    st.builds(Notice, TEXT, TEXT),
    st.builds(Failed, TEXT, st.sampled_from(["user", "bug", "cancelled"])),
    st.builds(Done, TEXT, COUNT, COUNT, COUNT),
)


@given(MESSAGES)
def test_round_trip_is_one_line(message: Message) -> None:
    line = to_line(message)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    assert from_line(line) == message


@pytest.mark.parametrize(
    "line",
    ["", "hello", "[]", "{}", '{"type": "progress"}', '{"type": "done", "bundle": "x", "sum": 1}', '{"type": "exec"}'],
)
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        from_line(line)


@given(st.lists(TEXT), TEXT)
def test_a_request_of_this_version_is_heard(photos: list[str], output: str) -> None:
    request = ReconstructionRequest(photos, "colmap", output)
    assert request_from_line(to_line(request)) == request


@pytest.mark.parametrize(
    "line",
    [
        to_line(ReconstructionRequest([], "colmap", "out", version="0.0.9")),
        '{"type": "request", "photos": [], "version": "9.0.0", "something": "new"}',
        '{"type": "request", "photos": [], "engine": "colmap", "output": "out"}',
    ],
)
def test_a_request_of_another_version_tells_to_restart(line: str) -> None:
    with pytest.raises(UserError, match=f"but {__version__} is installed now; restart Blender"):
        request_from_line(line)
