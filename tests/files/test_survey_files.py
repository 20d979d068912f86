"""Lists of survey points and marks, as total stations, spreadsheets and people write them."""

import tracemalloc
from pathlib import Path

import pytest

from threer_blender.files import survey_files
from threer_blender.files.survey_files import SurveyMark
from threer_blender.model.errors import UserError


@pytest.mark.parametrize(
    "text",
    [
        "name,x,y,z\nP1,1,2.5,-3\nP2,4,5,6\n",
        "P1;1;2.5;-3\r\nP2;4;5;6\r\n",
        "# total station\n\nP1\t1\t2.5\t-3\tnail\nP2\t4\t5\t6\troof\n",
        "# total station\n\nname,x,y,z\nP1,1,2.5,-3\nP2,4,5,6\n",
        "P1 1 2.5 -3\nP2   4 5 6",
        '\ufeffID,X,Y,Z\n"P1",1.0,2.5e0,-3\n"P2",4,5,6',
    ],
)
def test_lists_of_points_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "survey.csv").write_text(text, "utf-8")
    assert survey_files.read_points(tmp_path / "survey.csv") == {"P1": (1.0, 2.5, -3.0), "P2": (4.0, 5.0, 6.0)}


def test_lists_of_marks_are_read(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text("name,photo,u,v\nP1,IMG_2041.jpg,100.5,20\nP1,1001,3,4\n")
    assert survey_files.read_marks(tmp_path / "marks.csv") == [
        SurveyMark("P1", "IMG_2041.jpg", 100.5, 20.0),
        SurveyMark("P1", "1001", 3.0, 4.0),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no points"),
        ("name,x,y,z\n", "holds no points"),
        ("P1,1,2,3\nP1,1,2,4\n", "names the point 'P1' twice, again in line 2"),
        ("P1,1,2,3\nP2,1,two,4\n", "Line 2 of 'survey.csv' is not understood"),
        ("P1,1,2,3\nP2,1,nan,4\n", "Line 2 of 'survey.csv' is not understood"),
        ("P1,1,2,3\nP2,1,2\n", "Line 2"),
        ("# no header\nname,x,y,z\nname,x,y,z\nP1,1,2,3\n", "Line 3"),
    ],
)
def test_what_is_no_list_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "survey.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        survey_files.read_points(tmp_path / "survey.csv")


def test_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "survey.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="cannot be read as a list"):
        survey_files.read_points(tmp_path / "survey.csv")
    with pytest.raises(UserError, match="cannot be read as a list"):
        survey_files.read_marks(tmp_path / "missing.csv")


def test_a_list_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "survey.csv").write_bytes(b"P1,1,2,3\n" * (4 * survey_files.LARGEST // 9))
    tracemalloc.start()
    with pytest.raises(UserError, match="cannot be read as a list"):
        survey_files.read_points(tmp_path / "survey.csv")
    assert tracemalloc.get_traced_memory()[1] < 2 * survey_files.LARGEST
    tracemalloc.stop()


@pytest.mark.parametrize(("photo", "name"), [("0007", "7"), ("0000", "0"), ("0", "0"), ("07a", "07a"), ("", "")])
def test_zeros_before_a_frames_number(photo: str, name: str) -> None:
    assert survey_files.without_zeros(photo) == name
