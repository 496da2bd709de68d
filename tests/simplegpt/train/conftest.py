from pathlib import Path

import pytest

from tests.simplegpt.tiny import TINY, write_token_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with token files and tiny.toml, as the working directory."""
    monkeypatch.chdir(tmp_path)
    write_token_files(tmp_path)
    Path("tiny.toml").write_text(TINY)
    return tmp_path
