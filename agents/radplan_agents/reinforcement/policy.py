"""Trained policies on the disk: a Stable-Baselines3 model and, beside it, the account of its training."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm

from radplan_env.discrete import change
from radplan_env.protocol import Protocol
from radplan_env.sites import site_id

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "sac": SAC, "dqn": DQN}
"""By name. DQN takes discrete moves, the others relative actions."""

SHIPPED = Path(__file__).resolve().parent.parent / "policies"
"""Folder of the policies that come with the package."""

_OF_THIS_TRAINING = (
    "_last_obs",
    "_last_original_obs",
    "_last_episode_starts",
    "ep_info_buffer",
    "ep_success_buffer",
    "start_time",
    "tensorboard_log",
)


@dataclass(frozen=True)
class Policy:
    """A trained policy.

    Parameters
    ----------
    model : BaseAlgorithm
        The Stable-Baselines3 model.
    training : dict
        The account of its training, plain JSON data: ``"protocol"``, ``"relative_step"``, ``"solves"`` and what else
        `experiments/train.py` writes.
    """

    model: BaseAlgorithm
    training: dict[str, Any]

    def change(self, observation: dict[str, NDArray[Any]], space: Box[Any]) -> NDArray[np.float32]:
        """Return the relative action, a point of `space`, that the policy takes: nothing is drawn."""
        known = self.model.observation_space.spaces  # type: ignore[attr-defined]  # a Dict
        choice, _ = self.model.predict({key: observation[key] for key in known}, deterministic=True)
        if choice.shape == ():
            return change(space, choice.item())
        return np.clip(choice, -1, 1).astype(np.float32)


def shipped(algorithm: str, protocol: Protocol) -> Path:
    """Return where the package's policy of an algorithm for a protocol lies, whether it is there or not."""
    return SHIPPED / f"{algorithm}-{site(protocol)}.zip"


def installed(algorithm: str, protocol: Protocol) -> Path:
    """Return where `experiments/train.py --install` puts a policy of your own: your data folder, never the package."""
    return platformdirs.user_data_path("radplan_env") / "policies" / f"{algorithm}-{site(protocol)}.zip"


def site(protocol: Protocol) -> str:
    """Return what `--site` calls a protocol."""
    return site_id(protocol.name)


def policy_bytes(model: BaseAlgorithm) -> bytes:
    """The model as Stable-Baselines3 saves it, without what it last saw: no patient travels with a policy."""
    buffer = io.BytesIO()
    model.save(buffer, exclude=_OF_THIS_TRAINING)
    return buffer.getvalue()


def save_policy(path: Path | str, model: BaseAlgorithm, protocol: str, relative_step: float) -> Path:
    """Save a model that was trained by a script of yours, so that agents such as `PPOAgent` play it.

    Parameters
    ----------
    path : Path or str
        Ends in .zip; the account of the training goes beside it, under the same name with .json.
    model : BaseAlgorithm
        PPO, SAC or DQN.
    protocol : str
        Name of the protocol that it was trained for, such as "prostate".
    relative_step : float
        Of the environments that it was trained on.

    Returns
    -------
    Path
        The file of the model.

    Raises
    ------
    ValueError
        If the path ends otherwise, or the algorithm is another.
    """
    path = Path(path)
    algorithm = next((name for name, known in ALGORITHMS.items() if isinstance(model, known)), None)
    if algorithm is None or path.suffix != ".zip":
        raise ValueError(f"{type(model).__name__} to {path}: policies are of {', '.join(ALGORITHMS)} and end in .zip")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(policy_bytes(model))
    training = {
        "algorithm": algorithm,
        "protocol": protocol,
        "relative_step": relative_step,
        "solves": model.num_timesteps,
        "solves_for_validation": 0,
    }
    path.with_suffix(".json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    return path


def load_policy(algorithm: str, path: Path) -> Policy:
    """Read a policy and the account of its training, the file of the same name that ends in .json.

    Models are pickled: load only those you trust.

    Raises
    ------
    FileNotFoundError
        If either file is not there.
    ValueError
        If they are not a policy of this algorithm.
    """
    training = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if training.get("algorithm") != algorithm:
        raise ValueError(f"{path} was trained by {training.get('algorithm')}, not by {algorithm}")
    try:
        model = ALGORITHMS[algorithm].load(path, device="cpu")
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive can fail in as many ways as zip, json and torch know
        raise ValueError(f"{path} is not a whole {algorithm} policy: {error}") from error
    return Policy(model, training)
