"""Plans of agents on training patients, judged in every way that benchmarks ask for; kept in a file, line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from time import process_time
from typing import Literal

import numpy as np
from tqdm import tqdm

from radplan_agents import make_agent, play
from radplan_env.case import Case
from radplan_env.dose import prepare
from radplan_env.dose_view import DoseView
from radplan_env.env import RadPlanEnv
from radplan_env.errors import CaseError
from radplan_env.evaluation import Evaluation
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.protocol import load_protocol
from radplan_env.scorecards import Goals, Verdict
from radplan_env.scorecards.v1 import V1, value_of
from radplan_env.scorecards.v1_section import TermOfV1, read_section
from radplan_env.sources import openkbp, synthetic
from radplan_env.verdict import VerdictKind
from radplan_env.verdict.points import VERDICT, verdict_points

RANDOM = "action"
"""What plans by random actions are named after, with a number."""


@dataclass
class Asked:
    """Which plans; the options that benchmarks of plans share."""

    site: Literal["prostate", "head-and-neck"] = "prostate"
    """Synthetic prostates, or OpenKBP's patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    split: Literal["train", "validation", "test", "hard-test"] = "train"
    """Part of the cohort. Nothing is chosen by test patients: they are played once, at the end."""
    patients: int = 3
    """How many patients, from the first."""
    cases: tuple[str, ...] = ()
    """Their ids, in place of the first: 4, pt_247."""
    agents: tuple[str, ...] = ("template", "coordinate", "wish-list", "random")
    """Who plans."""
    budget: int = 10
    """Solves of an episode."""
    fidelities: tuple[str, ...] = ("fast",)
    """What plans are optimised on."""
    random_actions: int = 0
    """Plans by random actions, of the first three patients."""
    halved: bool = False
    """Whether to judge on points at half the spacing as well: eight times the points."""
    keep: Path | None = None
    """File that plans' values are kept in. A run that was stopped goes on; after a change of curves or weights the same
    plans are looked at by the new ones. Plans of an older inner loop are not noticed: remove the file."""

    @property
    def terms(self) -> tuple[TermOfV1, ...]:
        """Terms of the site's scorecard v1."""
        protocol = load_protocol(self.site.replace("-", "_"))
        return tuple(read_section(protocol.scorecards["v1"], protocol.prescription_gy).terms)


@dataclass
class Judged:
    """A plan: scores of v1, where nothing else is said, and the values of its terms in the verdict's dose."""

    case: str
    agent: str
    own_rows: float
    verdict: float
    screened: bool | None
    values: dict[str, float | None]
    sampled: float | None = None
    halved: float | None = None
    rounding: float | None = None
    fidelity: str = "fast"
    old: float | None = None
    """Score v0 of the dose where the plan was optimised: what plans were once judged by."""
    v0: float | None = None
    """Score v0 of the verdict's dose."""
    step_cpu_s: float | None = None
    """CPU seconds of a step of the episode, K apart."""
    verdict_cpu_s: float | None = None
    """CPU seconds of a full verdict of traced beams."""
    sampled_cpu_s: float | None = None
    """CPU seconds of a sampled verdict of traced beams."""


class Watched(V1):
    """v1, which remembers the values of its terms in the dose that it saw last."""

    values: Mapping[str, float | None]

    def verdict(self, view: DoseView, goals: Goals) -> Verdict:
        self.values = {term.name: value_of(term, view) for term in self._section(goals).terms}
        return super().verdict(view, goals)


class Bench:
    """A patient's environment, made when the first plan is asked for that is not kept."""

    def __init__(self, asked: Asked, case: Case, fidelity: str) -> None:
        self.asked, self.case, self.fidelity = asked, case, fidelity

    @cached_property
    def env(self) -> RadPlanEnv:
        env = RadPlanEnv(
            protocol=self.asked.site.replace("-", "_"),
            cases=[self.case],
            fidelity=self.fidelity,
            budget=self.asked.budget,
            scorecard=Watched(),
            progress=False,
        )
        env.reset(seed=0)  # K is computed here
        return env

    @cached_property
    def by_v0(self) -> PlanningSystem:
        """The same patient and rows, scored by v0."""
        protocol = self.asked.site.replace("-", "_")
        return PlanningSystem(self.case, protocol, fidelity=self.fidelity, scorecard="v0", progress=False)

    def judged(self, agent: str) -> Judged:
        started = process_time()
        plan, solves = self.random_plan(agent) if agent.startswith(RANDOM) else best_plan(self.env, agent)
        step_cpu_s = (process_time() - started) / max(solves, 1)
        system = self.env.system
        k = system._beams(plan.gantry_angles_deg, plan.collimator_angles_deg).k
        fluence = plan.solution.fluence

        def judged(kind: VerdictKind) -> tuple[Evaluation, float]:
            system.judge.judge(k.beams, k.bixels, fluence, kind)  # traces
            began = process_time()
            evaluation = system.judge.judge(k.beams, k.bixels, fluence, kind).evaluation
            return evaluation, process_time() - began

        evaluation, verdict_cpu_s = judged("full")
        assert isinstance(system.scorecard, Watched)
        values = dict(system.scorecard.values)
        found = Judged(plan.case_id, agent, plan.own_rows_score, evaluation.score, evaluation.screened, values)
        found.fidelity, found.step_cpu_s, found.verdict_cpu_s = self.fidelity, step_cpu_s, verdict_cpu_s
        if agent.startswith(RANDOM):
            return found
        found.old = self.by_v0._evaluate_rows(plan.solution.dose_gy, self.by_v0._seen).score
        found.v0 = self.by_v0.judge.judge(k.beams, k.bixels, fluence).evaluation.score
        found.rounding = system.with_rounding(plan).complexity["rounding_costs"]
        sampled, found.sampled_cpu_s = judged("sampled")
        found.sampled = sampled.score
        if self.asked.halved:
            points = verdict_points(system.case, system.protocol, system.judge.regions, VERDICT.times(0.5))
            traced = prepare(system.case, k.beams, points.positions_mm, beam_model=system.judge.beam_model.name)
            dose = traced.dose_of_bixels(k.bixels, fluence)
            found.halved = system.judge.judge_dose(dose, points).evaluation.score
        return found

    def random_plan(self, name: str) -> tuple[Plan, int]:
        action = np.random.default_rng(int(name.removeprefix(RANDOM))).uniform(-1, 1, self.env.action_space.shape)
        self.env.reset(seed=0)
        self.env.step(action.astype(np.float32))
        assert self.env.plan is not None
        return self.env.plan, 1


def best_plan(env: RadPlanEnv, name: str) -> tuple[Plan, int]:
    """Return an agent's plan with the best verdict, screened ones first, and its number of solves."""
    env.reset(seed=0)
    before = env.system.solves
    found: list[Plan] = []
    for _ in play(make_agent(name, env, seed=0), env):
        assert env.plan is not None
        found.append(env.plan)
    best = max(found, key=lambda plan: (plan.evaluation.screened is not False, plan.evaluation.score))
    return best, env.system.solves - before


def plans(asked: Asked) -> Iterator[Judged]:
    """Yield every plan asked for, from the file or made now and added to it."""
    names = {term.name for term in asked.terms}
    kept = {(each.fidelity, each.case, each.agent): each for each in read(asked.keep) if names <= each.values.keys()}
    actions = tuple(f"{RANDOM}{number}" for number in range(asked.random_actions))
    count = len(asked.cases) or asked.patients
    total = len(asked.fidelities) * (count * len(asked.agents) + min(count, 3) * len(actions))
    with tqdm(total=total, unit="plan", file=sys.stderr) as progress:
        for number, case in enumerate(cases(asked)):
            for fidelity in asked.fidelities:
                bench = Bench(asked, case, fidelity)
                for agent in (*asked.agents, *(actions if number < 3 else ())):
                    if (found := kept.get((fidelity, case.id, agent))) is None:
                        found = bench.judged(agent)
                        if asked.keep is not None:
                            with asked.keep.open("a", encoding="utf-8") as file:
                                file.write(json.dumps(asdict(found)) + "\n")
                    progress.update()
                    yield found


def read(path: Path | None) -> list[Judged]:
    if path is None or not path.exists():
        return []
    return [Judged(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def cases(asked: Asked) -> Iterator[Case]:
    if asked.site == "prostate":
        cohort = synthetic.load(asked.split)
    elif asked.data is not None:
        cohort = openkbp.load(asked.data, asked.split)
    else:
        raise SystemExit("--site head-and-neck needs --data: the folder of OpenKBP's provided-data")
    if asked.cases:
        yield from cohort.select(asked.cases)
        return
    found = 0
    for case_id in cohort.ids:
        if found == asked.patients:
            return
        try:
            case = cohort[case_id]
        except CaseError as error:
            print(f"left out: {error}")
            continue
        found += 1
        yield case


def described(values: Sequence[float | None]) -> str:
    """Say median, range and standard deviation of the values that are known."""
    known = np.array([value for value in values if value is not None and np.isfinite(value)])
    if not known.size:
        return "not known"
    return f"median {np.median(known):.2f}, {known.min():.2f} to {known.max():.2f}, SD {known.std():.2f}"
