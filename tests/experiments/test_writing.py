"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from radplan_experiments.writing import slug, write_atomically


def test_atomic_write_keeps_the_old_file_when_it_fails(tmp_path: Path) -> None:
    file = tmp_path / "plan.npz"
    file.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomically(file, fail)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "path"),
    [("openkbp/pt_17", "openkbp-pt_17"), ("my.pkg:Agent", "my.pkg-Agent"), ("../../etc", "etc")],
)
def test_names_become_path_parts(name: str, path: str) -> None:
    assert slug(name) == path
