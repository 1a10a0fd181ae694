"""The YAML reader: what is unambiguous comes through, what is not is refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import radplan_env
from radplan_env.yaml_files import YAMLFileError, parse_yaml, read_yaml

PLAIN = "a: 1\nb: -2.5\nc: 1.0e-3\nd: true\ne: null\nf: '01000'\ng: \"yes\"\nh: 5 % of Rx\ni: [0, 0.5, .5]\nj: north\n"


def test_what_is_unambiguous_reads_as_ever() -> None:
    assert parse_yaml(PLAIN) == yaml.safe_load(PLAIN)


@pytest.mark.parametrize("protocol", sorted((Path(radplan_env.__file__).parent / "protocols").glob("*.yaml")))
def test_the_packages_own_files_are_unambiguous(protocol: Path) -> None:
    assert read_yaml(protocol) == yaml.safe_load(protocol.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", "key 'a' given twice"),
        ("a: {b: 1, b: 1}", "key 'b' given twice"),
        ("a: 01000", "01000 would be read as 512"),
        ("a: 1:30", "1:30 would be read as 90"),
        ("a: 1_000", "1_000 would be read as 1000"),
        ("a: 0x10", "0x10 would be read as 16"),
        ("a: yes", "yes would be read as true or false"),
        ("a: [on]", "on would be read as true or false"),
        ("no: 1", "no would be read as true or false"),
        ("a: 2020-01-01", "read as a date"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_what_is_ambiguous_is_refused(text: str, says: str) -> None:
    with pytest.raises(YAMLFileError, match=says.replace("[", r"\[")):
        parse_yaml(text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(YAMLFileError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
