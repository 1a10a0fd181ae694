"""Does the verdict hold, and does its scorecard tell planners apart? On training patients only.

Agents plan with `--budget` solves; the plan with the best verdict of each counts. Printed are

- own rows against verdict: the score where plans were optimised, and on the verdict's points;
- convergence: how the score moves when the spacing of the verdict's points is halved, and on the sampled points;
- every term's standard deviation over the agents within a patient, in percent of its weight;
- how often the order of two agents' means turns when one weight is halved, or grows by a half;
- ties: pairs of plans by random actions whose scores differ by less than 0.01.

  python benchmarks/scorecard.py --patients 10
  python benchmarks/scorecard.py --site head-and-neck --data open-kbp/provided-data --patients 5
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

from benchmarks.machine import print_machine
from radplan_agents import make_agent
from radplan_env.case import Case
from radplan_env.dose import prepare
from radplan_env.env import RadPlanEnv
from radplan_env.errors import CaseError
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.sources import openkbp, synthetic
from radplan_env.verdict.points import VERDICT, verdict_points


@dataclass
class Args:
    site: Literal["prostate", "head-and-neck"] = "prostate"
    """Synthetic prostates of the training split, or OpenKBP's training patients."""
    data: Path | None = None
    """Folder of OpenKBP's provided-data."""
    patients: int = 3
    """How many patients, from the first."""
    agents: tuple[str, ...] = ("template", "coordinate", "wish-list")
    """Who plans."""
    budget: int = 10
    """Solves of an episode."""
    fidelity: str = "fast"
    """What plans are optimised on."""
    random_actions: int = 30
    """Plans by random actions, of the first three patients; 0 leaves them out."""
    halved: bool = True
    """Whether to judge on points at half the spacing as well."""


@dataclass
class Judged:
    """One plan and what is said of it."""

    case: str
    agent: str
    own_rows: float
    verdict: float
    halved: float | None
    sampled: float
    screened: bool | None
    shares: dict[str, float]
    """Share of each term's points."""


def main(args: Args) -> None:
    print_machine()
    judged: list[Judged] = []
    for number, case in enumerate(cases(args)):
        env = RadPlanEnv(protocol=args.site, cases=[case], fidelity=args.fidelity, budget=args.budget, progress=False)
        for agent in args.agents:
            judged.append(judge(best_plan(env, agent), env, agent, args.halved))
            print(line(judged[-1]), flush=True)
        if number < 3 and args.random_actions:
            scores = random_scores(env, args.random_actions)
            pairs = list(combinations(scores, 2))
            tied = sum(abs(a - b) < 0.01 for a, b in pairs)
            print(
                f"{case.id}: {tied} of {len(pairs)} pairs of random actions tie; {min(scores):.1f} to {max(scores):.1f}"
            )
    summarise(judged, weights_of(env.system))
    print(json.dumps([vars(each) for each in judged]))


def cases(args: Args) -> list[Case]:
    if args.site == "prostate":
        return list(synthetic.load("train", args.patients))
    if args.data is None:
        raise SystemExit("--site head-and-neck needs --data: the folder of OpenKBP's provided-data")
    cohort, found = openkbp.load(args.data, "train"), list[Case]()
    for number in range(len(cohort)):
        try:
            found.append(cohort[number])
        except CaseError as error:
            print(f"left out: {error}")
        if len(found) == args.patients:
            break
    return found


def best_plan(env: RadPlanEnv, name: str) -> Plan:
    agent = make_agent(name, env, seed=0)
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    plans: list[Plan] = []
    over = False
    while not over and (action := agent.act(observation, info)) is not None:
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        assert env.plan is not None
        plans.append(env.plan)
    return max(plans, key=lambda plan: (plan.evaluation.screened is not False, plan.evaluation.score))


def judge(plan: Plan, env: RadPlanEnv, agent: str, halved: bool) -> Judged:
    system = env.system
    evaluation = plan.evaluation
    shares = {name: points / evaluation.available[name] for name, points in evaluation.terms.items()}
    fluence, k = plan.solution.fluence, system._beams(plan.gantry_angles_deg, plan.collimator_angles_deg).k
    sampled = system.judge.judge(k.beams, k.bixels, fluence, "sampled").evaluation.score
    finer = None
    if halved:
        points = verdict_points(system.case, system.protocol, system.judge.regions, VERDICT.times(0.5))
        traced = prepare(system.case, k.beams, points.positions_mm, beam_model=system.judge.beam_model.name)
        finer = system.judge.judge_dose(traced.dose_of_bixels(k.bixels, fluence), points).evaluation.score
    return Judged(
        plan.case_id, agent, plan.own_rows_score, evaluation.score, finer, sampled, evaluation.screened, shares
    )


def line(each: Judged) -> str:
    finer = "" if each.halved is None else f", at half the spacing {each.halved:.2f}"
    return (
        f"{each.case} {each.agent}: own rows {each.own_rows:.2f}, verdict {each.verdict:.2f}{finer}, sampled "
        f"{each.sampled:.2f}, screened {each.screened}"
    )


def random_scores(env: RadPlanEnv, actions: int) -> list[float]:
    rng, scores = np.random.default_rng(0), []
    for _ in range(actions):
        env.reset(seed=0)
        env.step(rng.uniform(-1, 1, env.action_map.space.shape).astype(np.float32))
        assert env.plan is not None
        scores.append(env.plan.evaluation.score)
    return scores


def weights_of(system: PlanningSystem) -> dict[str, float]:
    return {term.name: term.points for term in system.scorecard.terms(system.protocol)}


def summarise(judged: Sequence[Judged], weights: Mapping[str, float]) -> None:
    losses = [each.own_rows - each.verdict for each in judged]
    print(f"own rows less verdict: median {np.median(losses):.1f}, {min(losses):.1f} to {max(losses):.1f}")
    moved = [abs(each.halved - each.verdict) for each in judged if each.halved is not None]
    if moved:
        print(f"halving the spacing moves a score by {np.median(moved):.2f} in the median, {max(moved):.2f} at most")
    off = [each.sampled - each.verdict for each in judged]
    print(f"sampled less full: mean {np.mean(off):+.2f}, standard deviation {np.std(off):.2f}")
    by_case: dict[str, list[Judged]] = {}
    for each in judged:
        by_case.setdefault(each.case, []).append(each)
    for name, weight in weights.items():
        deviation = np.mean([np.std([each.shares[name] for each in group]) for group in by_case.values()])
        template = np.median([each.shares[name] for each in judged if each.agent == "template"] or [np.nan])
        print(f"{name:48} weight {weight:5.2f}, moves {100 * deviation:5.1f} % of it; template earns {template:.2f}")
    agents = list(dict.fromkeys(each.agent for each in judged))
    shares = np.array([[np.mean([e.shares[n] for e in judged if e.agent == a]) for n in weights] for a in agents])
    given = np.array(list(weights.values()))
    print("mean scores:", {a: round(float(s), 2) for a, s in zip(agents, shares @ given, strict=True)})
    print(f"orders of two agents that turn under half or one and a half of one weight: {turned(shares, given)}")


def turned(shares: NDArray[np.float64], given: NDArray[np.float64]) -> str:
    pairs = list(combinations(range(len(shares)), 2))
    before = shares @ given
    count = 0
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
