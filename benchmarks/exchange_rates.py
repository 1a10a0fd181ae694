"""What a unit of each metric is worth in scorecard v1: the table of docs/scorecard.md.

python benchmarks/exchange_rates.py
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script: find our packages from any directory.
if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from radplan_env.protocol import load_protocol
from radplan_env.scorecards.v1_section import TermOfV1, read_section


def main() -> None:
    for name in ("prostate", "head_and_neck", "tg119"):
        protocol = load_protocol(name)
        terms = read_section(protocol.scorecards["v1"], protocol.prescription_gy).terms
        total = sum(term.weight for term in terms)
        print(f"\n{protocol.title}\n\n| term | points | 90 % at | 10 % at | at half-way, points per unit |")
        print("|---|---|---|---|---|")
        for term in terms:
            points = 100 * term.weight / total
            marks = f"{term.nine_tenths_at:.4g} | {term.a_tenth_at:.4g} {term.unit}".rstrip()
            print(f"| `{term.name}` | {points:.1f} | {marks} | {rate(term, points)} |")


def rate(term: TermOfV1, points: float) -> str:
    step = 1.0 if term.unit in ("Gy", "%") else 0.1 if term.metric == "R50" else 0.01
    middle = (term.nine_tenths_at + term.a_tenth_at) / 2
    worth = points * (term.utility(middle + step / 2) - term.utility(middle - step / 2))
    return f"{worth:+.2f} per {step:g} {term.unit}".rstrip()


if __name__ == "__main__":
    main()
