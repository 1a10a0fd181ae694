"""Hooks of the documentation's site: pages that lie beside docs/, and links that leave it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/fluence.md")
"""Pages that stay where readers of the repository look for them."""

LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)*)([^):#]+)([^)]*)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie beside docs/."""
    for path in BESIDE:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Lead links to where pages are on the site; the repository's own files, which are not there, become code."""
    source = page.file.src_uri
    base = (ROOT if source in BESIDE else ROOT / "docs") / source
    return LINK.sub(lambda link: _on_site(link, base, source, files), markdown)


def _on_site(link: re.Match[str], base: Path, source: str, files: Files) -> str:
    text, up, path, rest = link.groups()
    target = (base.parent / up / path).resolve()
    if not target.is_relative_to(ROOT) or not target.exists():
        return link[0]  # mkdocs says what is wrong with it
    place = str(target.relative_to(ROOT / "docs" if target.is_relative_to(ROOT / "docs") else ROOT))
    if files.get_file_from_path(place) is None:
        return (
            f"`{target.relative_to(ROOT)}`"
            if text == str(target.relative_to(ROOT))
            else f"{text} (`{target.relative_to(ROOT)}`)"
        )
    return f"[{text}]({'../' * source.count('/')}{place}{rest})"
