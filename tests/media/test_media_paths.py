"""Paths that stay inside the folder of a catalogue, and the value that reports a broken medium."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salon.errors import MediaError
from salon.media import MediaProblem, safe_join


def test_a_plain_relative_path_is_joined(tmp_path: Path) -> None:
    assert safe_join(tmp_path, "media/a b.jpg") == tmp_path.resolve() / "media" / "a b.jpg"


@pytest.mark.parametrize(
    "path",
    ["", "  ", "/etc/passwd", "../x", "a/../../x", "a/..", "C:/x", "C:x", "\\\\host\\x", "\\x", "a\\..\\x", "a\0b"],
)
def test_paths_that_could_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(MediaError, match="media path"):
        safe_join(tmp_path, path)


def test_a_link_that_leaves_the_folder_is_refused_and_one_that_stays_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside.txt").write_text("x")
    (root / "good").symlink_to("inside.txt")
    (root / "bad").symlink_to(tmp_path)
    assert safe_join(root, "good") == (root / "inside.txt").resolve()
    for path in ("bad", "bad/secret"):
        with pytest.raises(MediaError, match="through a link"):
            safe_join(root, path)


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    try:
        path = safe_join(tmp_path, "a/x")
    except MediaError:
        return
    assert path.is_relative_to(tmp_path.resolve())  # newer Pythons stop at the loop instead of raising


@given(st.text(alphabet=st.sampled_from("./\\aC:~ \x00\ud800"), max_size=12))
def test_whatever_is_written_the_path_is_inside_or_refused(text: str) -> None:
    root = Path(__file__).parent
    try:
        path = safe_join(root, text)
    except MediaError:
        return
    assert path.is_relative_to(root.resolve())


def test_a_problem_reads_as_a_line_of_a_report() -> None:
    assert str(MediaProblem("item 7", "photo", "It is empty.")) == "item 7 photo: It is empty."
