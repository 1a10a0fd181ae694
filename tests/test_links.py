"""Links in the documents lead somewhere, on the machine of whoever clones the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def test_every_link_leads_to_a_file_of_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone: git does not know its files")
    files = {ROOT / line for line in listed.stdout.splitlines()}
    known = files | {folder for file in files for folder in file.parents}
    documents = [file for file in files if file.suffix == ".md" and file.exists()]
    links = [(document, link) for document in documents for link in LINK.findall(document.read_text("utf-8"))]
    assert links
    broken = [f"{document.name}: {link}" for document, link in links if (document.parent / link).resolve() not in known]
    assert broken == []
