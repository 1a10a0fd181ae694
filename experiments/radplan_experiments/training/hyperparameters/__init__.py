"""Hyperparameters of training: a YAML file per algorithm, in it a section per environment id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radplan_env.influence import Fidelity
from radplan_env.verdict import VerdictKind
from radplan_env.yaml_files import YAMLFileError, read_yaml

FOLDER = Path(__file__).resolve().parent


class TrainingEnvironment(BaseModel):
    """What the training environments are made with; see `RadPlanEnv`.

    Training may be coarser than what is planned for: how a plan answers to its parameters depends little on it. Its
    rows must still see the edge of the targets: on a bare 10 mm grid plans need scaling by 1.05 to 1.1 and lose 45
    points to the verdict. The policy is chosen by its plans at fidelity `fast`, judged in full.
    """

    model_config = ConfigDict(extra="forbid")

    relative_step: float = Field(gt=0, le=2)
    budget: int = Field(ge=2)
    fidelity: str | Fidelity = "fast"
    verdict: VerdictKind = "sampled"


class Hyperparameters(BaseModel):
    """One section of a file."""

    model_config = ConfigDict(extra="forbid")

    environment: TrainingEnvironment
    network: list[int]
    """Neurons in each hidden layer."""
    policy: dict[str, Any] = {}
    """Further keywords of Stable-Baselines3's policy class, such as ``log_std_init``."""
    arguments: dict[str, Any] = {}
    """Keywords of the algorithm's class, such as ``learning_rate``."""


def load_hyperparameters(algorithm: str, environment: str, path: Path | None = None) -> Hyperparameters:
    """Read the hyperparameters of an algorithm for an environment id, such as "RadPlan/Prostate-v0".

    Parameters
    ----------
    algorithm, environment : str
    path : Path, optional
        A file of your own, instead of the package's for this algorithm.

    Raises
    ------
    ValueError
        If the file cannot be read, has no section for the environment, or a key is unknown or missing.
    """
    path = FOLDER / f"{algorithm}.yaml" if path is None else path
    try:
        sections = read_yaml(path)
    except YAMLFileError as error:
        raise ValueError(f"hyperparameters {path}: {error}") from error
    if not isinstance(sections, dict) or environment not in sections:
        listed = ", ".join(sections) if isinstance(sections, dict) else "no sections"
        raise ValueError(f"hyperparameters {path} have no section {environment}; there is {listed}")
    try:
        return Hyperparameters.model_validate(sections[environment])
    except ValidationError as error:
        raise ValueError(f"hyperparameters {path}, {environment}: {error}") from error
