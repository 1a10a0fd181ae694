"""Does the verdict hold, and does its scorecard tell planners apart? On training patients only, in one process.

Agents plan with `--budget` solves; the plan with the best verdict of each counts. Printed are

- own rows against verdict: the score where plans were optimised, and on the verdict's points; what rounding costs;
- convergence: how the score moves when the spacing of the verdict's points is halved, and on the sampled points;
- of every term: its standard deviation over the agents' plans of a patient, in percent of its weight; the values from
  the lowest to the highest that any plan reached; what the template's plans earn of it, which is its `neutral`;
- how often the order of two agents' means turns when one weight is halved, or grows by a half;
- ties: pairs of plans by random actions whose scores differ by less than 0.01.

With `--keep FILE` every plan's values are kept: a run that was stopped goes on, and after a change of curves or weights
the same plans are looked at by the new ones without planning. Plans of an older inner loop are not noticed: remove the
file.

  python benchmarks/scorecard.py --patients 10
  python benchmarks/scorecard.py --site head-and-neck --data open-kbp/provided-data --patients 3 --keep plans.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from time import process_time
from typing import Literal

# Run as a script: find our packages from any directory.
if not __package__:
    root = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(root), str(root / "agents")]

import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.machine import print_machine
from radplan_agents import make_agent
from radplan_env.case import Case
from radplan_env.dose import prepare
from radplan_env.dose_view import DoseView
from radplan_env.env import RadPlanEnv
from radplan_env.errors import CaseError
from radplan_env.planning import Plan
from radplan_env.protocol import load_protocol
from radplan_env.scorecards import Goals, Verdict
from radplan_env.scorecards.v1 import V1, value_of
from radplan_env.scorecards.v1_section import TermOfV1, read_section
from radplan_env.sources import openkbp, synthetic
from radplan_env.verdict.points import VERDICT, verdict_points

RANDOM = "action"
"""What plans by random actions are named after, with a number."""


@dataclass
class Args:
    site: Literal["prostate", "head-and-neck"] = "prostate"
    """Synthetic prostates of the training split, or OpenKBP's training patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    patients: int = 3
    """How many patients, from the first."""
    agents: tuple[str, ...] = ("template", "coordinate", "wish-list", "random")
    """Who plans."""
    budget: int = 10
    """Solves of an episode."""
    fidelity: str = "fast"
    """What plans are optimised on."""
    random_actions: int = 30
    """Plans by random actions, of the first three patients; 0 leaves them out."""
    halved: bool = True
    """Whether to judge on points at half the spacing as well: eight times the points."""
    keep: Path | None = None
    """File that plans' values are kept in, line by line."""


@dataclass
class Judged:
    """One plan and what is said of it."""

    case: str
    agent: str
    own_rows: float
    verdict: float
    screened: bool | None
    values: dict[str, float | None]
    """Values of the terms' metrics; None where a term is neutral."""
    sampled: float | None = None
    halved: float | None = None
    rounding: float | None = None


class Watched(V1):
    """v1, which remembers the values of its terms in the dose that it saw last."""

    values: Mapping[str, float | None]

    def verdict(self, view: DoseView, goals: Goals) -> Verdict:
        self.values = {term.name: value_of(term, view) for term in self._section(goals).terms}
        return super().verdict(view, goals)


class Bench:
    """A patient's environment, made when the first plan is asked for that is not kept."""

    def __init__(self, args: Args, case: Case) -> None:
        self.args, self.case = args, case

    @cached_property
    def env(self) -> RadPlanEnv:
        args = self.args
        settings = {"fidelity": args.fidelity, "budget": args.budget, "scorecard": Watched(), "progress": False}
        return RadPlanEnv(protocol=args.site.replace("-", "_"), cases=[self.case], **settings)

    def plan_of(self, agent: str) -> Plan:
        """The best plan of an agent, or the plan of a random action."""
        if not agent.startswith(RANDOM):
            return best_plan(self.env, agent)
        action = np.random.default_rng(int(agent.removeprefix(RANDOM))).uniform(-1, 1, self.env.action_space.shape)
        self.env.reset(seed=0)
        self.env.step(action.astype(np.float32))
        assert self.env.plan is not None
        return self.env.plan

    def judged(self, agent: str) -> Judged:
        plan = self.plan_of(agent)
        system = self.env.system
        k = system._beams(plan.gantry_angles_deg, plan.collimator_angles_deg).k
        evaluation = system.judge.judge(k.beams, k.bixels, plan.solution.fluence).evaluation
        assert isinstance(system.scorecard, Watched)
        values = dict(system.scorecard.values)
        found = Judged(plan.case_id, agent, plan.own_rows_score, evaluation.score, evaluation.screened, values)
        if agent.startswith(RANDOM):
            return found
        found.rounding = system.with_rounding(plan).complexity["rounding_costs"]
        found.sampled = system.judge.judge(k.beams, k.bixels, plan.solution.fluence, "sampled").evaluation.score
        if self.args.halved:
            points = verdict_points(system.case, system.protocol, system.judge.regions, VERDICT.times(0.5))
            traced = prepare(system.case, k.beams, points.positions_mm, beam_model=system.judge.beam_model.name)
            dose = traced.dose_of_bixels(k.bixels, plan.solution.fluence)
            found.halved = system.judge.judge_dose(dose, points).evaluation.score
        return found


def main(args: Args) -> None:
    print_machine()
    protocol = load_protocol(args.site.replace("-", "_"))
    terms = read_section(protocol.scorecards["v1"], protocol.prescription_gy).terms
    judged = [scored(each, terms) for each in plans(args, {term.name for term in terms})]
    summarise([each for each in judged if not each.agent.startswith(RANDOM)], terms)
    print_ties([each for each in judged if each.agent.startswith(RANDOM)])


def plans(args: Args, terms: set[str]) -> Iterator[Judged]:
    """Yield every plan asked for, from the file or made now and added to it."""
    kept = {(each.case, each.agent): each for each in read(args.keep) if terms <= each.values.keys()}
    actions = tuple(f"{RANDOM}{number}" for number in range(args.random_actions))
    total = args.patients * len(args.agents) + min(args.patients, 3) * len(actions)
    with tqdm(total=total, unit="plan", file=sys.stderr) as progress:
        for number, case in enumerate(cases(args)):
            bench = Bench(args, case)
            for agent in (*args.agents, *(actions if number < 3 else ())):
                if (found := kept.get((case.id, agent))) is None:
                    found = bench.judged(agent)
                    if args.keep is not None:
                        with args.keep.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(asdict(found)) + "\n")
                progress.update()
                yield found


def read(path: Path | None) -> list[Judged]:
    if path is None or not path.exists():
        return []
    return [Judged(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def cases(args: Args) -> Iterator[Case]:
    if args.site == "prostate":
        yield from synthetic.load("train", args.patients)
        return
    if args.data is None:
        raise SystemExit("--site head-and-neck needs --data: the folder of OpenKBP's provided-data")
    cohort, found = openkbp.load(args.data, "train"), 0
    for number in range(len(cohort)):
        if found == args.patients:
            return
        try:
            case = cohort[number]
        except CaseError as error:
            print(f"left out: {error}")
            continue
        found += 1
        yield case


def best_plan(env: RadPlanEnv, name: str) -> Plan:
    agent = make_agent(name, env, seed=0)
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    found: list[Plan] = []
    over = False
    while not over and (action := agent.act(observation, info)) is not None:
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        assert env.plan is not None
        found.append(env.plan)
    return max(found, key=lambda plan: (plan.evaluation.screened is not False, plan.evaluation.score))


def utilities(each: Judged, terms: Sequence[TermOfV1]) -> NDArray[np.float64]:
    return np.array([term.earned(each.values[term.name]) for term in terms])


def weights(terms: Sequence[TermOfV1]) -> NDArray[np.float64]:
    given = np.array([term.weight for term in terms])
    return 100 * given / given.sum()


def scored(each: Judged, terms: Sequence[TermOfV1]) -> Judged:
    """The plan by today's curves and weights, which a kept one may not know."""
    before, each.verdict = each.verdict, float(utilities(each, terms) @ weights(terms))
    if abs(before - each.verdict) > 1e-6:  # the other scores are by the old ones
        each.own_rows = np.nan
        each.sampled = each.halved = each.rounding = None
    return each


def summarise(judged: Sequence[Judged], terms: Sequence[TermOfV1]) -> None:
    for each in judged:
        print(f"{each.case} {each.agent}: verdict {each.verdict:.2f}, own rows {each.own_rows:.2f}, {each.screened}")
    quantities = {
        "own rows less verdict": [each.own_rows - each.verdict for each in judged],
        "half the spacing less verdict": [each.halved - each.verdict for each in judged if each.halved is not None],
        "sampled less verdict": [each.sampled - each.verdict for each in judged if each.sampled is not None],
        "rounding to ten levels costs": [each.rounding for each in judged if each.rounding is not None],
    }
    for name, found in quantities.items():
        if found and np.isfinite(found).all():
            median, sd = np.median(found), np.std(found)
            print(f"{name}: median {median:.2f}, {min(found):.2f} to {max(found):.2f}, standard deviation {sd:.2f}")
    earned = np.array([utilities(each, terms) for each in judged])
    print_terms(judged, terms, earned)
    agents = list(dict.fromkeys(each.agent for each in judged))
    of_agents = np.array([[each.agent == agent for each in judged] for agent in agents], dtype=float)
    shares = of_agents @ earned / of_agents.sum(axis=1, keepdims=True)
    means = shares @ weights(terms)
    print("mean scores:", {agent: round(float(mean), 2) for agent, mean in zip(agents, means, strict=True)})
    print(f"orders of two agents that turn under half or one and a half of one weight: {turned(shares, terms)}")


def print_terms(judged: Sequence[Judged], terms: Sequence[TermOfV1], earned: NDArray[np.float64]) -> None:
    print("\n| term | points | moves, % of them | reached | 90 %, 10 % at | template earns |")
    print("|---|---|---|---|---|---|")
    cases = [np.array([each.case == case for each in judged]) for case in dict.fromkeys(each.case for each in judged)]
    template = np.array([each.agent == "template" for each in judged])
    for term, points, own in zip(terms, weights(terms), earned.T, strict=True):
        values = np.array([np.nan if (value := each.values[term.name]) is None else value for each in judged])
        known = np.isfinite(values)
        moves = 100 * np.mean([np.std(own[case]) for case in cases])
        reached = f"{values[known].min():.4g} to {values[known].max():.4g}" if known.any() else "–"
        neutral = f"{own[known & template].mean():.2f}" if (known & template).any() else "–"
        marks = f"{term.nine_tenths_at:.4g}, {term.a_tenth_at:.4g} {term.unit}".rstrip()
        print(f"| `{term.name}` | {points:.1f} | {moves:.1f} | {reached} | {marks} | {neutral} |")


def print_ties(judged: Sequence[Judged]) -> None:
    by_case: dict[str, list[float]] = {}
    for each in judged:
        by_case.setdefault(each.case, []).append(each.verdict)
    pairs = [pair for scores in by_case.values() for pair in combinations(scores, 2)]
    if pairs:
        tied = sum(abs(one - other) < 0.01 for one, other in pairs)
        every = [score for scores in by_case.values() for score in scores]
        print(f"random actions: {tied} of {len(pairs)} pairs tie; scores from {min(every):.1f} to {max(every):.1f}")


def turned(shares: NDArray[np.float64], terms: Sequence[TermOfV1]) -> str:
    given, pairs, count = weights(terms), list(combinations(range(len(shares)), 2)), 0
    before = shares @ given
    for term in range(len(given)):
        for factor in (0.5, 1.5):
            other = given.copy()
            other[term] *= factor
            after = shares @ other
            count += sum((before[a] - before[b]) * (after[a] - after[b]) < 0 for a, b in pairs)
    return f"{count} of {2 * len(given) * len(pairs)}"


if __name__ == "__main__":
    started = process_time()
    main(tyro.cli(Args, description=__doc__))
    print(f"{process_time() - started:.0f} CPU seconds")
