"""The training itself."""

from __future__ import annotations

import importlib.metadata
import math
import sys
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from tqdm import tqdm

from radplan_agents.reinforcement import Policy
from radplan_agents.reinforcement.policy import policy_bytes
from radplan_env.stable_baselines import VecStartPlan
from radplan_experiments.cohort import UsageError
from radplan_experiments.running.runner import versions
from radplan_experiments.training.checkpoint import Progress, begin, claim, resume, save
from radplan_experiments.training.curves import tensorboard_folder
from radplan_experiments.training.environments import training_environments
from radplan_experiments.training.setup import Setup
from radplan_experiments.training.validation import Validation
from radplan_experiments.writing import write_atomically, write_json

CHECKPOINT = "checkpoint.zip"
LEARNING_PACKAGES = ("stable-baselines3", "torch")


def train(setup: Setup, folder: Path, *, solves: int, interval: int, command: str) -> dict[str, Any]:
    """Train until the policy has asked for so many solves; go on where an earlier call in the folder stopped.

    Parameters
    ----------
    setup : Setup
    folder : Path
        Where checkpoints and the policy go.
    solves : int
        Solves that the policy asks for in all.
    interval : int
        Solves between two checkpoints.
    command : str
        What to write down as the command that trains this policy.

    Returns
    -------
    dict
        The account of the training, as in ``policy.json``.

    Raises
    ------
    UsageError
        If the folder holds another training, or another process trains in it.
    """
    torch.set_num_threads(1)  # sums of several threads may differ in their last digits, and the nets are small
    claim(folder, setup)
    try:
        with FileLock(folder / "run.lock", timeout=0):
            return _train(setup, folder, solves, interval, command)
    except Timeout as error:
        raise UsageError(f"another process trains in {folder}: wait for it, or give another --out") from error


def _train(setup: Setup, folder: Path, solves: int, interval: int, command: str) -> dict[str, Any]:
    envs, start = training_environments(setup)
    path, logs = folder / CHECKPOINT, tensorboard_folder(folder)
    model, progress = resume(setup, envs, path, logs) if path.exists() else begin(setup, envs, logs)
    start.start_solves = progress.start_solves
    callback = Checkpoints(setup, folder, progress, start, interval, command)
    try:
        if progress.steps < solves:
            if progress.steps > 0:
                progress.resumed_at.append(progress.steps)
            whole = _whole_rollouts(model, solves)
            if whole > solves:
                print(f"{setup.algorithm} learns from whole rollouts: {solves} solves become {whole}", file=sys.stderr)
            with tqdm(total=whole, initial=progress.steps, desc=setup.algorithm, unit="solve", file=sys.stderr) as bar:
                callback.bar = bar
                model.learn(solves - progress.steps, callback, reset_num_timesteps=False, tb_log_name=setup.algorithm)
        return callback.export()
    finally:
        envs.close()


def _whole_rollouts(model: BaseAlgorithm, solves: int) -> int:
    """Return how many solves Stable-Baselines3 takes when asked for so many: it ends after a whole rollout."""
    each = model.n_steps if isinstance(model, OnPolicyAlgorithm) else model.train_freq.frequency  # type: ignore[attr-defined]
    rollout = each * model.n_envs
    return model.num_timesteps + math.ceil((solves - model.num_timesteps) / rollout) * rollout


class Checkpoints(BaseCallback):
    """Evaluates the policy and saves the training, every so many solves and at the end."""

    bar: Any = None

    def __init__(
        self, setup: Setup, folder: Path, progress: Progress, start: VecStartPlan, interval: int, command: str
    ) -> None:
        super().__init__()
        self._setup, self._folder, self._progress, self._start = setup, folder, progress, start
        self._interval, self._command = interval, command
        self._validation = Validation(setup)
        self._validated: dict[str, str] = {}

    def export(self) -> dict[str, Any]:
        """Write the best policy and the account of the training; return the account."""
        account = self._account()
        write_atomically(self._folder / "policy.zip", lambda path: path.write_bytes(self._progress.best_model))
        write_json(self._folder / "policy.json", account)
        return account

    def _on_step(self) -> bool:
        self.bar.update(self.num_timesteps - self.bar.n)
        return True

    def _on_rollout_end(self) -> None:
        if episodes := self.model.ep_info_buffer:
            gained = sum(episode["r"] for episode in episodes) / len(episodes)
            self.bar.set_postfix(**self._validated, gained=f"{gained:+.1f}")

    def _on_rollout_start(self) -> None:  # the model has learnt from all there is
        if self.num_timesteps >= self._progress.steps + self._interval:
            self._checkpoint()

    def _on_training_end(self) -> None:
        if self.num_timesteps > self._progress.steps:
            self._checkpoint()

    def _checkpoint(self) -> None:
        progress = self._progress
        progress.steps, progress.start_solves = self.num_timesteps, self._start.start_solves
        scores, solves = self._validation(Policy(self.model, self._account()))
        progress.validation_solves += solves
        progress.curve.append({"solves": progress.steps, **scores})
        if progress.best is None or scores["score"] > progress.best["score"]:
            progress.best, progress.best_model = progress.curve[-1], policy_bytes(self.model)
        for name, value in scores.items():
            self.logger.record(f"validation/{name}", value)
        self.logger.dump(self.num_timesteps)
        self._validated = {"validation": f"{scores['score']:.2f}", "start": f"{scores['start_score']:.2f}"}
        self.bar.set_postfix(**self._validated)
        save(self._folder / CHECKPOINT, self.model, progress)
        self.export()

    def _account(self) -> dict[str, Any]:
        """What there is to know of the policy."""
        progress, environment = self._progress, self._setup.hyperparameters.environment
        return {
            "algorithm": self._setup.algorithm,
            "protocol": self._setup.protocol.name,
            "relative_step": environment.relative_step,
            "solves": progress.steps + progress.start_solves,
            "solves_of_the_policy": progress.steps,
            "solves_for_start_plans": progress.start_solves,
            "solves_for_validation": progress.validation_solves,
            "resumed_at": progress.resumed_at,
            "best": progress.best,
            "curve": progress.curve,
            "command": self._command,
            "setup": self._setup.to_dict(),
            "versions": versions() | {name: importlib.metadata.version(name) for name in LEARNING_PACKAGES},
        }
