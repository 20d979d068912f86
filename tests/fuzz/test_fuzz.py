"""A small budget of damaged inputs of every kind; `nox -s fuzz` goes on for as long as one likes."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import inputs, kinds, mutations, run

BUDGET = 60  # inputs of each kind

damage = st.lists(
    st.builds(
        mutations.Mutation,
        st.sampled_from(sorted(mutations.KINDS)),
        st.floats(0, 1).map(lambda where: where**3),  # most near the beginning, where headers are
        st.integers(0, (1 << 64) - 1),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", kinds.KINDS)
def test_a_damaged_input_is_read_or_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    kind = kinds.KINDS[name]
    examples = kind.examples()
    parts = [(index, part) for index, named in enumerate(examples) for part in named]
    if kind.packed:
        parts += [(index, "") for index in range(len(examples))]  # "": the whole file that is written

    @settings(max_examples=BUDGET, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(st.sampled_from(parts), damage)
    def read(place: tuple[int, str], drawn: list[mutations.Mutation]) -> None:
        path = inputs.written(kind, examples, inputs.Case(*place, drawn), tmp_path_factory.mktemp("input"))
        try:
            kind.read(path)
        except kind.errors as error:
            if isinstance(error.__cause__, MemoryError):
                raise

    read()


@pytest.mark.parametrize("name", kinds.KINDS)
def test_undamaged_examples_are_read(name: str, tmp_path: Path) -> None:
    kind = kinds.KINDS[name]
    for index, parts in enumerate(kind.examples()):
        folder = tmp_path / str(index)
        folder.mkdir()
        kind.read(kind.write(parts, folder))


def test_the_runner_counts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "splat", "--inputs", "30"])
    assert run.main() == 0
    row = capsys.readouterr().out.splitlines()[-1]
    counts = [int(cell) for cell in row.strip("| ").split(" | ")[1:]]
    assert counts[0] == counts[1] + counts[2] == 30  # tried, read, refused
    assert counts[3:] == [0, 0, 0]
