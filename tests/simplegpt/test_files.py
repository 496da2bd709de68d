"""Files are replaced whole, lines are appended whole, and a free name is found."""

import os
import re
from pathlib import Path

import pytest

from simplegpt.files import (
    append_line,
    first_free_path,
    open_regular,
    text_lines,
    write_atomically,
)


def test_write_keeps_mode_link_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = 1\n")
    path.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    write_atomically(link, "seed = 2\r\n", sync=True)
    assert path.read_bytes() == b"seed = 2\r\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.toml", "run.toml"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = 1\n")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udc80")
    with pytest.raises(OSError, match="Not a directory") as caught:
        write_atomically(path / "inside.toml", "")
    assert caught.value.filename == str(path / "inside.toml")  # not the temporary file
    assert [one.name for one in tmp_path.iterdir()] == ["run.toml"]
    assert path.read_text() == "seed = 1\n"


def test_lines_of_a_text_end_at_newlines_only() -> None:
    data = "\ufeffa\u2028a\u0085a\r\nb\x0cb\x1cb\x0bb\n\nd\rd\ufeff".encode()
    expected = ["a\u2028a\u0085a", "b\x0cb\x1cb\x0bb", "", "d\rd\ufeff"]
    assert [line.decode() for line in text_lines(data)] == expected
    assert text_lines(data + b"\n") == text_lines(data)
    assert text_lines(b"") == text_lines(b"\xef\xbb\xbf") == []


def test_appended_line_closes_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append_line(path, "one", mode=0o600)
    path.write_text("one\ntw")
    append_line(path, "three")
    assert path.read_text() == "one\ntw\nthree\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_regular_files_are_opened_and_nothing_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("ab")
    (tmp_path / "link").symlink_to("text")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=re.escape(str(path))):
            open_regular(path)
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"ab"


def test_nothing_is_written_to_a_pipe_or_over_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    for path in (tmp_path / "fifo", tmp_path / "null", tmp_path):
        with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
            append_line(path, "line")
        with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
            write_atomically(path, "text")
    (tmp_path / "loop").symlink_to("loop")
    write_atomically(tmp_path / "loop", "text")
    assert (tmp_path / "loop").read_text() == "text"


@pytest.mark.parametrize(
    ("existing", "wanted", "free"),
    [
        ([], "run", "run"),
        (["run"], "run", "run-2"),
        (["run", "run-2", "run-3"], "run", "run-4"),
        (["run-2"], "run-2", "run-3"),
        (["run-9", "run-10"], "run-9", "run-11"),
        (["lr-0.5"], "lr-0.5", "lr-0.5-2"),
        (["-2"], "-2", "-2-2"),
    ],
)
def test_first_free_directory(tmp_path: Path, existing: list[str], wanted: str, free: str) -> None:
    for name in existing:
        (tmp_path / name).mkdir()
    assert first_free_path(tmp_path / wanted) == tmp_path / free


def test_first_free_file_keeps_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "run.toml").touch()
    (tmp_path / "run-2.toml").symlink_to("nowhere")
    assert first_free_path(tmp_path / "run.toml") == tmp_path / "run-3.toml"
    assert first_free_path(Path("a"), lambda path: path.name in ("a", "a-2")) == Path("a-3")
