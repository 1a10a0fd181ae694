"""What is installed: wheel, source distribution, container."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("radplan_env", "agents", "experiments", "docs", "tests", "benchmarks")
FILES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "CITATION.cff", "Makefile")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and source distribution, built from a checkout where compiled caches lie about."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 or later builds the package")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for file in (*FILES, "Dockerfile", "constraints.txt"):
        shutil.copy(ROOT / file, source)
    for folder in ("radplan_env/fluence", "agents/radplan_agents/gpt_radplan/prompts"):
        caches = source / folder / "__pycache__"
        caches.mkdir()
        for name in ("loss.py89.nbi", "loss.1.nbc", "loss.pyc"):
            (caches / name).write_bytes(b"stale")
    build = (
        "import sys; from setuptools import build_meta; out = sys.argv[1]; "
        "build_meta.build_wheel(out); build_meta.build_sdist(out)"
    )
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=source, check=True, capture_output=True)
    return out


def names_in(built: Path, pattern: str) -> set[str]:
    (path,) = built.glob(pattern)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return set(wheel.namelist())
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_holds_three_packages_and_their_data(built: Path) -> None:
    names = names_in(built, "*.whl")
    packages = {"radplan_env": "", "radplan_agents": "agents/", "radplan_experiments": "experiments/"}
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(packages)
    for package, folder in packages.items():
        kept = {
            str(path.relative_to(ROOT / folder))
            for path in (ROOT / folder / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        missing = {name for name in kept - names if not name.endswith(".md") or "prompts" in name}
        assert not missing


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_no_compiled_cache_is_packed(built: Path, pattern: str) -> None:
    assert not {name for name in names_in(built, pattern) if name.endswith((".nbi", ".nbc", ".pyc"))}


def test_the_source_distribution_holds_tests_docs_and_scripts(built: Path) -> None:
    names = names_in(built, "*.tar.gz")
    assert {"tests/conftest.py", "experiments/compare.py", "constraints.txt", "Dockerfile", "CHANGELOG.md"} <= names
    assert any(name.startswith("docs/") for name in names)


def test_the_command_and_the_extras_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"radplan": "radplan_experiments.console:main"}
    assert any("pyRadPlan" in requirement for requirement in project["optional-dependencies"]["reference"])
    assert not [requirement for requirement in project["dependencies"] if "pyRadPlan" in requirement]


def test_the_container_compares_agents() -> None:
    lines = [line.partition(" ") for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line]
    steps = {word: rest for word, _, rest in lines if word.isupper()}
    assert steps["FROM"].startswith("python:3.11-slim")
    assert "--constraint" in shlex.split(steps["RUN"])
    assert (steps["ENTRYPOINT"], steps["CMD"]) == ('["radplan"]', '["compare"]')
