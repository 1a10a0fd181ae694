"""Where the curves of a training go: TensorBoard's files, and from there to Weights & Biases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from radplan_experiments.cohort import UsageError
from radplan_experiments.training.setup import Setup


def tensorboard_folder(folder: Path) -> str | None:
    """Return where a training writes TensorBoard's files; None, which is said, without TensorBoard."""
    if find_spec("tensorboard") is None:
        print("no TensorBoard curves: pip install tensorboard", file=sys.stderr)
        return None
    return str(folder / "tensorboard")


@contextmanager
def curves_sent(project: str | None, setup: Setup, folder: Path) -> Iterator[None]:
    """Send TensorBoard's curves to a project of Weights & Biases as well, where one is named.

    Raises
    ------
    UsageError
        If Weights & Biases or TensorBoard is not installed.
    """
    if project is None:
        yield
        return
    if missing := [name for name in ("wandb", "tensorboard") if find_spec(name) is None]:
        raise UsageError(f"--wandb needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    with wandb.init(project=project, dir=folder, config=setup.to_dict(), sync_tensorboard=True):
        yield
