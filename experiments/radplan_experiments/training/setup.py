"""What is trained, on which cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from radplan_env.case import Case
from radplan_env.protocol import Protocol, load_protocol
from radplan_env.sources import synthetic
from radplan_experiments.cohort import Origin, open_cohort, site_named
from radplan_experiments.options import TrainOptions
from radplan_experiments.training.hyperparameters import Hyperparameters, load_hyperparameters


@dataclass(frozen=True)
class Setup:
    """Everything that decides what a training is, but for its length.

    Parameters
    ----------
    algorithm : str
        One of `radplan_agents.reinforcement.ALGORITHMS`.
    environment : str
        Id of the environment.
    protocol : Protocol
    training : sequence of Case
        Cases to train on.
    validation : sequence of Case
        Cases to choose the best policy by.
    cases : str
        The training cases in words.
    hyperparameters : Hyperparameters
    parallel, seed : int
    evaluated : dict
        Settings of the environments in which the policy is evaluated.
    """

    algorithm: str
    environment: str
    protocol: Protocol
    training: Sequence[Case]
    validation: Sequence[Case]
    cases: str
    hyperparameters: Hyperparameters
    parallel: int = 8
    seed: int = 0
    evaluated: dict[str, Any] = field(default_factory=lambda: {"fidelity": "fast"})

    def __post_init__(self) -> None:
        # An id is cheap, a case is not.
        training = getattr(self.training, "ids", None) or [case.id for case in self.training]
        both = [case.id for case in self.validation if case.id in training]
        if both:
            raise ValueError(f"cases to choose the policy by must not be trained on: {', '.join(both)}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {
            "algorithm": self.algorithm,
            "environment": self.environment,
            "protocol": self.protocol.name,
            "cases": self.cases,
            "validation": [case.id for case in self.validation],
            "hyperparameters": self.hyperparameters.model_dump(mode="json"),
            "parallel": self.parallel,
            "seed": self.seed,
        }


def setup_of(args: TrainOptions) -> Setup:
    """Read the cases and hyperparameters that were asked for.

    Raises
    ------
    UsageError
        If cases are not there.
    ValueError
        If hyperparameters are not.
    """
    site = site_named(args.site)
    environment = site.environment
    hyperparameters = load_hyperparameters(args.algorithm, environment, args.hyperparameters)
    data = () if args.data is None else (str(args.data.expanduser().resolve()),)
    validation = open_cohort(Origin(site.source, data, "validation"))[: args.validation_cases]
    if site.source == "synthetic":
        training: Sequence[Case] = synthetic.load("endless", voxel_size_mm=5)
        cases = "synthetic: a new patient in every episode"
    else:
        training = open_cohort(Origin(site.source, data, "train"))
        cases = f"{site.source}: {len(training)} training cases"
    return Setup(
        algorithm=args.algorithm,
        environment=environment,
        protocol=load_protocol(site.protocol),
        training=training,
        validation=list(validation),
        cases=cases,
        hyperparameters=hyperparameters,
        parallel=args.parallel,
        seed=args.seed,
    )
