"""What read_plans.py does once its options are read: plan, plant errors, ask, and count."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, create_model
from tqdm import tqdm

from radplan_agents.llm import Failed, Session, SettingsError, system, user
from radplan_agents.privacy import is_own_patient
from radplan_env import PlanningSystem
from radplan_experiments import cohort
from radplan_experiments.cohort import UsageError
from radplan_experiments.reading.errors import ERRORS, Dose, Patient, shows
from radplan_experiments.reading.options import ReadOptions
from radplan_experiments.reading.pictures import shown
from radplan_experiments.reporting.stats import share_interval
from radplan_experiments.running import language_model
from radplan_experiments.wording import counted
from radplan_experiments.writing import write_text

CLEAN = "none"
"""Kind of a plan without an error."""

KINDS = {
    "cold_end": "the head or feet end of the primary target is cold",
    "hot_outside": "a hot spot in healthy tissue away from the targets",
    "missed_node": "an elective target, or a part of it, is missed",
    "organ_for_another": "one organ is spared far more than need be while another gets far more dose than need be",
    "left_and_right_swapped": "the dose is on the wrong side: left and right are swapped",
}

MANUAL = """You are a medical physicist who checks radiotherapy plans before treatment. You are shown pictures of one
plan: its dose in solid bands with the structures' contours on three planes and in slices, slices through its coldest
point in the primary target and its hottest point outside the targets, and its dose-volume histograms. Some plans hold
an error that must not reach the patient; others are as an optimiser made them, with the compromises of every plan.

The errors there may be:
{kinds}

Answer with a JSON object:
- "why": what you see, in a few sentences;
- "error": "yes" if the plan holds one of these errors, else "no";
- "kind": which, or "none"."""


class Answer(BaseModel):
    """What a model says of a plan."""

    model_config = ConfigDict(extra="forbid")

    why: str
    error: Literal["yes", "no"]
    kind: str


@dataclass(frozen=True)
class Plan:
    """A plan to be read: a clean one, and the same with each error that shows.

    Parameters
    ----------
    number : int
        From 1.
    case : str
        The case's id, for the table alone.
    patient : Patient
    doses : Mapping[str, Dose]
        By kind of error; "none" is the clean plan's.
    """

    number: int
    case: str
    patient: Patient
    doses: Mapping[str, Dose]


def run(args: ReadOptions) -> int:
    """Ask the model about every plan; return the exit code 0.

    Raises
    ------
    UsageError
        If something asked for is not there, or the model sees no pictures.
    """
    site = cohort.site_named(args.site)
    data = () if args.data is None else (str(args.data),)
    cases = cohort.open_cohort(cohort.Origin(site.source, data, args.split))
    ids = cohort.select(cases.ids, args.cases)
    if args.plans < 1:
        raise UsageError(f"--plans must be at least 1, got {args.plans}")
    if unknown := [name for name in args.errors if name not in ERRORS]:
        raise UsageError(f"--errors: there is no {unknown[0]}; choose from {', '.join(ERRORS)}")
    try:
        choice = language_model.choose(args, own_patients=any(is_own_patient(cases[case]) for case in ids))
    except SettingsError as error:
        raise UsageError(str(error)) from error
    if choice.vision == "no":
        raise UsageError("read_plans asks about pictures: a model that sees none has nothing to read")
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        model = stack.enter_context(language_model.reached(args, args.out, choice))
        if not model.sees_pictures():
            raise UsageError("read_plans asks about pictures, and this model's service refuses them")
        session = model.session(0, args.out / "transcript")
        for plan in tqdm(_plans(args, cases, ids), total=args.plans, unit="plan", file=sys.stderr):
            rows += read(plan, session)
            answers = pd.DataFrame(rows)
            write_text(args.out / "answers.csv", answers.to_csv(index=False))
    table = score(answers)
    write_text(args.out / "reading.csv", table.to_csv())
    print(said(table, answers))
    return 0


def read(plan: Plan, session: Session) -> Iterator[dict[str, Any]]:
    """Ask about a plan without and with each error; yield a row for each question."""
    session.shows_own_patient = is_own_patient(plan.patient.case)
    for kind in (CLEAN, *ERRORS):
        row = {"plan": plan.number, "case": plan.case, "planted": kind}
        if kind in plan.doses:
            yield {**row, **_asked(plan.patient, plan.doses[kind], session)}


def score(answers: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each kind of error, all of them together, and the clean plans.

    Columns: "plans"; "said yes", the sensitivity of an error and the false alarms of clean plans, with Wilson's 95 %
    interval; "told apart", the share of pairs in which the plan with the error is called one and the same plan without
    it is not; "named", the share of yeses that name the right kind; "no answer". Without an answer a plan is not called
    faulty.
    """
    rows = {}
    clean = answers[answers["planted"] == CLEAN].set_index("plan")["yes"]
    planted = answers[answers["planted"] != CLEAN]
    groups = dict(list(planted.groupby("planted", sort=False)))
    groups["all errors"], groups["clean"] = planted, answers[answers["planted"] == CLEAN]
    for name, group in groups.items():
        yes = group["yes"].to_numpy(dtype=bool)
        low, high = share_interval(yes)
        apart = yes & ~clean.loc[group["plan"]].to_numpy(dtype=bool)
        named = group[yes]
        is_clean = name == "clean"
        rows[name] = {
            "plans": len(group),
            "said yes": yes.mean() if len(yes) else np.nan,
            "low": low,
            "high": high,
            "told apart": np.nan if is_clean or not len(apart) else apart.mean(),
            "named": np.nan if is_clean or named.empty else (named["kind"] == named["planted"]).mean(),
            "no answer": int(group["kind"].isna().sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("planted")


def said(table: pd.DataFrame, answers: pd.DataFrame) -> str:
    """Return the table as text, with what was left out."""
    plans, asked = answers["plan"].nunique(), answers["planted"].value_counts()
    text: str = table.to_string(float_format=lambda value: f"{value:.2f}", na_rep="–")
    left_out = [f"{kind}: {plans - asked.get(kind, 0)}" for kind in ERRORS if asked.get(kind, 0) < plans]
    note = f"\nLeft out, as the error does not show or was not asked for, of {counted(plans, 'plan')}: "
    return text + (note + "; ".join(left_out) if left_out else "")


def _plans(args: ReadOptions, cases: Any, ids: tuple[str, ...]) -> Iterator[Plan]:
    """Plan the cases in turn, each time with other weights, and plant the errors."""
    protocol, numbers = cohort.site_named(args.site).protocol, range(1, args.plans + 1)
    for place, case_id in enumerate(ids):
        if place >= args.plans:
            return
        system_ = PlanningSystem(cases[case_id], protocol, fidelity=args.fidelity, progress=False)
        patient = Patient(system_.case, system_.protocol)
        for number in numbers[place :: len(ids)]:
            rng = np.random.default_rng((args.seed, number))
            yield Plan(number, case_id, patient, _planted(patient, _planned(system_, rng), args.errors, rng))


def _planned(system_: PlanningSystem, rng: np.random.Generator) -> Dose:
    """The dose of a plan whose organs' weights are up to doubled or halved against the template's."""
    parameters = system_.protocol.start_parameters()
    for organ in system_.protocol.organs:
        low, high = organ.weight_range
        weight = parameters.structures[organ.structure].weight * 2 ** rng.uniform(-1, 1)
        parameters = parameters.replace(organ.structure, weight=min(max(weight, low), high))
    return np.asarray(system_.plan(parameters).dose_on(system_.case.grid), np.float32)


def _planted(patient: Patient, dose: Dose, errors: tuple[str, ...], rng: np.random.Generator) -> dict[str, Dose]:
    doses = {CLEAN: dose}
    for kind in errors:
        planted = ERRORS[kind](patient, dose, rng)
        if planted is not None and shows(patient, dose, planted):
            doses[kind] = planted
    return doses


def _asked(patient: Patient, dose: Dose, session: Session) -> dict[str, Any]:
    """Ask about one dose."""
    kinds = "\n".join(f"- {kind}: {what};" for kind, what in KINDS.items())
    prescriptions = ", ".join(f"{name} {rx_gy:g} Gy" for name, (_, rx_gy) in patient.targets.items())
    title = f"{patient.protocol.protocol.title}. Prescription: {prescriptions}. The pictures follow."
    messages = [system(MANUAL.format(kinds=kinds)), user(title, *shown(patient, dose))]
    form = create_model("Answer", __base__=Answer, kind=(Literal[(*KINDS, CLEAN)], ...))
    answer = session.ask("reader", messages, form)
    if isinstance(answer, Failed):
        return {"yes": False, "kind": None, "why": str(answer)}
    return {"yes": answer.error == "yes", "kind": answer.kind, "why": answer.why}
