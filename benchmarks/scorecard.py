"""Does scorecard v1 tell planners apart? On training patients only, in one process.

Agents plan with `--budget` solves; the plan with the best verdict of each counts. Printed are

- of every term: its standard deviation over the agents' plans of a patient, in percent of its weight; the values from
  the lowest to the highest that any plan reached; what the template's plans earn of it, which is its `neutral`;
- how often the order of two agents' means turns when one weight is halved, or grows by a half;
- ties: pairs of plans by random actions whose scores differ by less than 0.01.

  python benchmarks/scorecard.py --patients 3 --random-actions 10
  python benchmarks/scorecard.py --site head-and-neck --data open-kbp/provided-data --keep plans.jsonl
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from time import process_time

# Run as a script: find our packages from any directory.
if not __package__:
    root = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(root), str(root / "agents")]

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.judged_plans import RANDOM, Asked, Judged, plans
from benchmarks.machine import print_machine
from radplan_env.scorecards.v1_section import TermOfV1


def main(asked: Asked) -> None:
    print_machine()
    terms = asked.terms
    found = list(plans(asked))
    for each in found:  # a kept plan may not know today's curves and weights
        each.verdict = float(utilities(each, terms) @ weights(terms))
    summarise([each for each in found if not each.agent.startswith(RANDOM)], terms)
    print_ties([each for each in found if each.agent.startswith(RANDOM)])


def utilities(each: Judged, terms: Sequence[TermOfV1]) -> NDArray[np.float64]:
    return np.array([term.earned(each.values[term.name]) for term in terms])


def weights(terms: Sequence[TermOfV1]) -> NDArray[np.float64]:
    given = np.array([term.weight for term in terms])
    shares: NDArray[np.float64] = 100 * given / given.sum()
    return shares


def summarise(judged: Sequence[Judged], terms: Sequence[TermOfV1]) -> None:
    for each in judged:
        passed = {True: "passed", False: "refused", None: "not screened"}[each.screened]
        print(f"{each.case} {each.agent}: {each.verdict:.2f}, {passed}")
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
    main(tyro.cli(Asked, description=__doc__))
    print(f"{process_time() - started:.0f} CPU seconds")
