"""The command `radplan`, and its commands' modules."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from radplan_env import __version__
from radplan_experiments import console
from radplan_experiments.commands.invocation import Invocation, command_of

DOORS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize("name", console.COMMANDS)
def test_every_command_helps_in_its_own_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main([name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: radplan {name} ")
    assert "python experiments/" not in text


def test_every_script_is_a_command() -> None:
    scripts = {command_of(path.stem) for path in DOORS.glob("*.py")}
    assert scripts <= console.COMMANDS.keys()
    for module, _ in console.COMMANDS.values():
        importlib.import_module(f"radplan_experiments.commands.{module}")


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["--help"]) == 0
    assert all(f"  {name} " in capsys.readouterr().out for name in ["compare"])
    assert console.main(["--version"]) == 0
    assert capsys.readouterr().out == f"radplan_env {__version__}\n"
    assert console.main([]) == 2


def test_a_mistyped_command_is_told_from_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["comprae"]) == 2
    assert "did you mean compare?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["export", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom radplan_experiments import console\n"
        "try:\n    console.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numba', 'scipy', 'matplotlib', 'pandas', 'torch', 'pyRadPlan'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_errors_begin_with_what_was_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("radplan report: error: ")


def test_a_command_line_can_be_typed_again() -> None:
    invoked = Invocation.of(("radplan", "pareto"), ["--wishes", "spare the rectum"])
    assert invoked.command == "radplan pareto --wishes 'spare the rectum'"
    assert Invocation.of(("python", "experiments/pareto.py"), []).name == "pareto.py"
