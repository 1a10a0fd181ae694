"""The cases of an environment: those given or the site's own, and which of them an episode is on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from radplan_env.case import Case
from radplan_env.protocol import Protocol
from radplan_env.sites import site_of
from radplan_env.sources import SOURCES, CohortRequest

DEFAULT_CASES = 20
"""Where no cases are given, the first so many training cases of the site's source are."""


def choose_case(options: Mapping[str, Any], ids: Sequence[str], rng: np.random.Generator) -> int:
    """Return the position of ``options["case"]`` in a cohort, or of a case drawn from it."""
    if unknown := set(options) - {"case"}:
        raise ValueError(f"unknown reset options {', '.join(sorted(map(str, unknown)))}; there is only 'case'")
    if "case" not in options:
        return int(rng.integers(len(ids)))
    if options["case"] not in ids:
        listed = ", ".join(ids[:12]) + (", …" if len(ids) > 12 else "")
        raise ValueError(f"no case {options['case']!r} in the cohort; it holds {listed}")
    return ids.index(options["case"])


def default_cases(protocol: Protocol) -> Sequence[Case]:
    """Return the cases of a protocol's site where none are given."""
    site = site_of(protocol.name)
    if site is None:
        raise ValueError(f"protocol {protocol.name!r} has no cases of its own: give cases=[…]")
    source = SOURCES[site.source]
    if source.needs_data:
        raise ValueError(
            f"protocol {protocol.name!r} has no cases of its own: give cases=[…], such as those of "
            f"radplan_env.sources.SOURCES[{source.id!r}].cohort(CohortRequest(data=[…], split='train')). "
            f"It reads {source.data}"
        )
    return source.cohort(CohortRequest(split="train"))[:DEFAULT_CASES]


def cohort_of(cases: Iterable[Case], protocol: Protocol) -> tuple[Sequence[Case], Sequence[str]]:
    """Return the cases in a sequence and their ids; one that has ids is not read before its cases are needed."""
    if isinstance(cases, Case):
        raise ValueError("cases is a list: give cases=[case]")
    if isinstance(cases, Sequence) and hasattr(cases, "ids"):
        ids: Sequence[str] = cases.ids
    else:
        cases = tuple(cases)
        if wrong := [case for case in cases if not isinstance(case, Case)]:
            raise ValueError(f"cases holds a {type(wrong[0]).__name__}: give objects of radplan_env.Case")
        for case in cases:
            protocol.bind(case)  # a case that does not fit shows now, not in the middle of a training
        ids = tuple(case.id for case in cases)
    if not ids:
        raise ValueError("cases is empty: give at least one Case")
    # Billions of ids, made when asked for, are left to the cohort that makes them.
    if len(ids) <= 10_000 and (twice := sorted(i for i, count in Counter(ids).items() if count > 1)):
        raise ValueError(f"several cases have the id {', '.join(twice)}: give each its own")
    return cases, ids
