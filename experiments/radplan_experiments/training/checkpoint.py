"""Where a training stands, in one file that is replaced in one step: a kill loses at most an interval."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from radplan_agents.reinforcement import ALGORITHMS
from radplan_agents.reinforcement.features import PlanFeatures, spans
from radplan_experiments.cohort import UsageError
from radplan_experiments.training.setup import Setup
from radplan_experiments.writing import write_atomically, write_json


@dataclass
class Progress:
    """How far a training has come; what a checkpoint holds beside the model and its replay buffer.

    Parameters
    ----------
    steps : int
        Solves that the policy asked for.
    start_solves : int
        Solves for start plans.
    validation_solves : int
    resumed_at : list of int
        Steps at which an interrupted training went on, with draws of its own.
    curve : list of dict
        Of each evaluation: steps, mean best score over the validation cases, and mean score of their start plans.
    best : dict, optional
        The evaluation of the best policy.
    best_model : bytes
        That policy.
    """

    steps: int = 0
    start_solves: int = 0
    validation_solves: int = 0
    resumed_at: list[int] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] | None = None
    best_model: bytes = b""


def claim(folder: Path, setup: Setup) -> None:
    """Write down what is trained in a folder, or see that it is the same."""
    path, wanted = folder / "run.json", setup.to_dict()
    if not path.exists():
        write_json(path, wanted)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    if changed := [name for name in wanted if found.get(name) != wanted[name]]:
        raise UsageError(f"{folder} holds a training with other {', '.join(changed)}: give another --out")


def begin(setup: Setup, envs: VecEnv, logs: str | None) -> tuple[BaseAlgorithm, Progress]:
    """A new model.

    Raises
    ------
    ValueError
        If the algorithm does not know one of its hyperparameters.
    """
    chosen = setup.hyperparameters
    extractor = {
        "features_extractor_class": PlanFeatures,
        "features_extractor_kwargs": {"spans": spans(setup.protocol)},
    }
    try:
        model = ALGORITHMS[setup.algorithm](
            "MultiInputPolicy",
            envs,
            policy_kwargs={"net_arch": chosen.network, **extractor, **chosen.policy},
            seed=setup.seed,
            device="cpu",
            tensorboard_log=logs,
            **chosen.arguments,
        )
    except TypeError as error:
        raise ValueError(f"hyperparameters of {setup.algorithm}: {error}") from error
    return model, Progress()


def resume(setup: Setup, envs: VecEnv, path: Path, logs: str | None) -> tuple[BaseAlgorithm, Progress]:
    """The model of a checkpoint and how far it has come."""
    with zipfile.ZipFile(path) as file:
        progress = Progress(**json.loads(file.read("progress.json")), best_model=file.read("best.zip"))
        model_file = io.BytesIO(file.read("model.zip"))
        model = ALGORITHMS[setup.algorithm].load(model_file, env=envs, device="cpu", tensorboard_log=logs)
        if isinstance(model, OffPolicyAlgorithm):
            model.load_replay_buffer(io.BytesIO(file.read("replay_buffer.pkl")))
    # Not the draws of the beginning once more.
    model.set_random_seed(int(np.random.SeedSequence([setup.seed, progress.steps]).generate_state(1)[0]))
    return model, progress


def save(path: Path, model: BaseAlgorithm, progress: Progress) -> None:
    """Replace the checkpoint."""
    write_atomically(path, lambda temporary: _write(temporary, model, progress))


def _write(path: Path, model: BaseAlgorithm, progress: Progress) -> None:
    plain = asdict(progress)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("best.zip", plain.pop("best_model"))
        file.writestr("progress.json", json.dumps(plain, allow_nan=False))
        whole = io.BytesIO()
        model.save(whole)
        file.writestr("model.zip", whole.getvalue())
        if isinstance(model, OffPolicyAlgorithm):
            buffer = io.BytesIO()
            model.save_replay_buffer(buffer)
            file.writestr("replay_buffer.pkl", buffer.getvalue())
