"""Does the verdict hold? Own rows against verdict, old scores against new, and whether fidelities agree on agents.

Agents plan with `--budget` solves; the plan with the best verdict of each counts. Printed are, for each fidelity,

- own rows against verdict: the score where plans were optimised less that on the verdict's points, without limits
  and, for agents that set some, with them; what rounding to ten levels costs; the sampled verdict less the full one,
  and with `--halved` the verdict on points at half the spacing;
- the agents' mean scores: v0 on the rows that plans were optimised on (what plans were once judged by), v0 and v1 on
  the verdict; plans refused by v1's screen;
- the CPU seconds of a step, K apart, and of a full and a sampled verdict once beams are traced;

and Kendall's tau between fidelities over the agents' mean scores, with the pairs of agents whose order turns. A budget
of few solves says nothing of agents whose first plan is the template.

  python benchmarks/planners.py --patients 10
  python benchmarks/planners.py --site head-and-neck --data open-kbp/provided-data --fidelities fast standard
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
from scipy import stats

from benchmarks.judged_plans import RANDOM, Asked, Judged, described, plans
from benchmarks.machine import print_machine

SETS_LIMITS = ("wish-list",)
"""Agents whose plans have limits."""


def main(asked: Asked) -> None:
    print_machine()
    found = list(plans(asked))
    for fidelity in asked.fidelities:
        own = [each for each in found if each.fidelity == fidelity and not each.agent.startswith(RANDOM)]
        print(f"\n{fidelity}, {len({each.case for each in own})} patients, {len(own)} plans")
        print_differences(own)
        print_agents(own, asked.agents)
    for one, other in combinations(asked.fidelities, 2):
        print_agreement(found, asked.agents, one, other)


def print_differences(found: Sequence[Judged]) -> None:
    free = [each for each in found if each.agent not in SETS_LIMITS]
    bound = [each for each in found if each.agent in SETS_LIMITS]
    lines: dict[str, list[float | None]] = {
        "own rows less verdict, no limits": [each.own_rows - each.verdict for each in free],
        "own rows less verdict, with limits": [each.own_rows - each.verdict for each in bound],
        "sampled less verdict": [each.sampled - each.verdict for each in found if each.sampled is not None],
        "half the spacing less verdict": [each.halved - each.verdict for each in found if each.halved is not None],
        "rounding to ten levels costs": [each.rounding for each in found],
        "CPU s of a step": [each.step_cpu_s for each in found],
        "CPU s of a full verdict": [each.verdict_cpu_s for each in found],
        "CPU s of a sampled verdict": [each.sampled_cpu_s for each in found],
    }
    for name, values in lines.items():
        print(f"{name}: {described(values)}")


def print_agents(found: Sequence[Judged], agents: Sequence[str]) -> None:
    print("\n| agent | v0, own rows | v0, verdict | v1, verdict | refused |")
    print("|---|---|---|---|---|")
    for agent in agents:
        own = [each for each in found if each.agent == agent]
        scores = (mean(own, own[0].fidelity, agent, which) for which in ("old", "v0", "verdict"))
        refused = sum(each.screened is False for each in own)
        print(f"| {agent} | {' | '.join(f'{score:.1f}' for score in scores)} | {refused} of {len(own)} |")


def print_agreement(found: Sequence[Judged], agents: Sequence[str], one: str, other: str) -> None:
    scores = [[mean(found, fidelity, agent, "verdict") for agent in agents] for fidelity in (one, other)]
    print(f"\nKendall's tau, {one} and {other}: {stats.kendalltau(*scores).statistic:.2f}")
    for pair in combinations(agents, 2):
        apart = [difference(found, fidelity, *pair) for fidelity in (one, other)]
        if np.prod([each.mean() for each in apart]) < 0:
            said = (f"{each.mean():+.2f} ± {stats.sem(each):.2f}" for each in apart)
            print(f"turned: {pair[0]} less {pair[1]}, mean ± standard error over patients: {', '.join(said)}")


def difference(found: Sequence[Judged], fidelity: str, one: str, other: str) -> NDArray[np.float64]:
    """One agent's verdict less the other's, patient by patient."""
    by_case = [
        {each.case: each.verdict for each in found if (each.fidelity, each.agent) == (fidelity, agent)}
        for agent in (one, other)
    ]
    return np.array([by_case[0][case] - by_case[1][case] for case in by_case[0]])


def mean(found: Sequence[Judged], fidelity: str, agent: str, which: str) -> float:
    scores = [getattr(each, which) for each in found if (each.fidelity, each.agent) == (fidelity, agent)]
    return float(np.mean([np.nan if score is None else score for score in scores]))


if __name__ == "__main__":
    started = process_time()
    main(tyro.cli(Asked, description=__doc__))
    print(f"{process_time() - started:.0f} CPU seconds")
