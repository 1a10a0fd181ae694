"""Our inner loop against that of another revision, on the same arrays: `benchmarks/fluence.py --against REV`.

K, rows, depths of points, terms, limits and starts are made by the present revision and saved. REV is checked out into
a worktree of its own; each revision's solver runs in a process of its own, with its own dose beyond K, and both solve
each problem in turn.
What REV does not know (volumes, smoothness, dose beyond K) is left out on both sides. The present revision says what
the fluences are worth: objective and, by the verdict, score.

A patient's problems: the template, cold; then warm, each from the plan before as the present revision made it, three
steps that multiply every weight by 0.9 or 1.1 and two by 0.5 to 1.5; then organs' metrics held at 95 % of what the
template has, and a step of 0.1 from there.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import process_time
from types import TracebackType
from typing import Any

import numpy as np

# Run as a script, in a process of its own: find the revision's package.
if not __package__:
    sys.path[0] = os.environ["PYTHONPATH"]

from radplan_env import fluence as inner
from radplan_env.beams import Bixels
from radplan_env.dose import Prepared

ROOT = Path(__file__).resolve().parent.parent
TIGHTER = 0.95
OPTIONAL = {"volumes_cc": "volumes of rows", "smoothness": "smoothness", "beyond_k": "dose beyond K"}


@dataclass(frozen=True)
class Compared:
    """One problem, solved by both revisions."""

    kind: str
    seconds: tuple[float, float]
    """CPU seconds of REV and of the present revision, as in what follows."""
    objective: tuple[float, float]
    score: tuple[float, float]
    met: tuple[bool, bool]

    @property
    def ratio(self) -> float:
        return self.seconds[0] / self.seconds[1]

    @property
    def gap(self) -> float:
        """How far the present objective is above REV's, relative to it."""
        return self.objective[1] / self.objective[0] - 1


def against(revision: str, case: str, data: Path, patients: Sequence[str], seed: int) -> dict[str, float]:
    """Compare on patients and return the figures of the last line."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        old = stack.enter_context(_Solver(stack.enter_context(_worktree(revision)), folder))
        new = stack.enter_context(_Solver(ROOT, folder))
        unknown = sorted(set(OPTIONAL) - set(old.knows) & set(new.knows))
        print("left out on both sides: " + (", ".join(OPTIONAL[name] for name in unknown) or "nothing"), flush=True)
        results: list[Compared] = []
        for patient in patients:
            results += _patient(old, new, case, data, patient, seed, folder, unknown)
            print(f"so far: {json.dumps(_figures(results))}", flush=True)
    return _figures(results)


def _figures(results: Sequence[Compared]) -> dict[str, float]:
    median, score = np.median, [abs(result.score[1] - result.score[0]) for result in results]

    def ratio(*kinds: str) -> float:
        return round(float(median([result.ratio for result in results if result.kind in kinds] or [np.nan])), 2)

    warm = [result.seconds for result in results if result.kind in ("step", "wide")]
    before, after = median(warm, axis=0)
    return {
        "warm_seconds_before": round(float(before), 2),
        "warm_seconds": round(float(after), 2),
        "warm_ratio": ratio("step", "wide"),
        "cold_ratio": ratio("cold"),
        "limits_ratio": ratio("limits", "limits, step"),
        "worst_objective_gap": round(max(result.gap for result in results), 6),
        "worst_objective_gap_both_met": round(max(result.gap for result in results if all(result.met)), 6),
        "median_score_difference": round(float(median(score)), 3),
        "worst_score_difference": round(max(score), 3),
    }


def loaded(case: str, data: Path, patient: str) -> tuple[Any, Any, Any]:
    """Return a training patient, its planning system at fidelity `fast`, and the template's beams."""
    from radplan_env.planning import PlanningSystem
    from radplan_env.protocol import load_protocol
    from radplan_env.sources import openkbp, synthetic

    cohort = openkbp.load(data, "train") if case == "openkbp" else synthetic.load("train")
    site = "head_and_neck" if case == "openkbp" else "prostate"
    of_case = cohort[cohort.ids.index(f"openkbp/{patient}") if case == "openkbp" else int(patient)]
    system = PlanningSystem(of_case, load_protocol(site), fidelity="fast", progress=False)
    beams = system._beams(system.gantry_angles_deg, system.collimator_angles_deg)
    return of_case, system, beams


def _patient(
    old: _Solver, new: _Solver, case: str, data: Path, patient: str, seed: int, folder: Path, unknown: Sequence[str]
) -> Iterator[Compared]:
    of_case, system, beams = loaded(case, data, patient)
    _save(folder / "patient", {"matrix": beams.k.matrix, "bixels": _as_dict(beams.k.bixels)})
    _save(folder / "beyond", None if "beyond_k" in unknown or beams.seen is None else _traced(beams.seen))
    for solver in (old, new):
        solver.ask("patient")
        solver.ask(
            "solve", _numbered(system, beams, system.protocol.start_parameters(), None, unknown, folder)
        )  # compiles

    def compare(kind: str, parameters: Any, start: Any) -> tuple[Compared, Any]:
        problem = _numbered(system, beams, parameters, start, unknown, folder)
        answers = [solver.ask("solve", problem) for solver in (old, new)]
        found = [_load(folder / f"solution-{solver.name}") for solver in (old, new)]
        posed = problem_of(system, beams, parameters, start)
        if "smoothness" in unknown:
            posed = replace(posed, smoothness=None)
        values, scores = [], []
        for each in found:
            dose = beams.dose_seen(each["fluence"]) if "beyond_k" not in unknown else beams.solver.dose(each["fluence"])
            made = inner.FluenceSolution.of(posed, each["fluence"], dose, kkt_residual=0, iterations=0)
            values.append(made)
            judged = system.judge.judge(beams.k.beams, beams.k.bixels, each["fluence"]).evaluation
            scores.append(judged.score)
        result = Compared(
            kind,
            (answers[0]["seconds"], answers[1]["seconds"]),
            (values[0].objective, values[1].objective),
            (scores[0], scores[1]),
            (answers[0]["met"], answers[1]["met"]),
        )
        print(
            f"{of_case.id} {kind}: {result.seconds[0]:.2f} → {result.seconds[1]:.2f} CPU s (× {result.ratio:.2f}), "
            f"{answers[0]['steps']} → {answers[1]['steps']} steps, objective {result.gap:+.3%}, "
            f"score {result.score[0]:.2f} → {result.score[1]:.2f}, constraints met {result.met[0]} → {result.met[1]}",
            flush=True,
        )
        return result, replace(values[1], multipliers=found[1]["multipliers"])

    rng = np.random.default_rng(seed)
    template = parameters = system.protocol.start_parameters()
    result, cold = compare("cold", template, None)
    yield result
    plan = cold
    for kind in ("step", "step", "step", "wide", "wide"):
        parameters = stepped(parameters, rng, kind)
        result, plan = compare(kind, parameters, plan)
        yield result
    limited = replace(
        template, limits=_limits(system.judge.judge(beams.k.beams, beams.k.bixels, cold.fluence).evaluation)
    )
    result, held = compare("limits", limited, cold)
    yield result
    if result.met[1]:
        yield compare("limits, step", stepped(limited, rng, "step"), held)[0]


def stepped(parameters: Any, rng: np.random.Generator, kind: str) -> Any:
    """Return parameters with every weight multiplied by 0.9 or 1.1 (a "step"), or by 0.5 to 1.5."""

    def factor() -> float:
        return float(rng.choice([0.9, 1.1]) if kind == "step" else rng.uniform(0.5, 1.5))

    changed = {name: replace(each, weight=each.weight * factor()) for name, each in parameters.structures.items()}
    return replace(parameters, structures=changed)


def _limits(evaluation: Any) -> tuple[Any, ...]:
    """Return organs' metrics, tighter than a plan has them."""
    from radplan_env.limits import Limit

    limits = []
    for result in evaluation.criteria:
        name, metric = result.criterion.structure, result.criterion.metric
        organ = not name.startswith(("PTV", "Outside", "Body"))
        if organ and result.criterion.upper and not metric.startswith(("D0.", "HI", "CI", "R50")) and result.value > 5:
            limits.append(Limit(name, metric, at_most=TIGHTER * result.value))
    return tuple(limits)


def problem_of(system: Any, beams: Any, parameters: Any, start: Any) -> inner.FluenceProblem:
    """Return the inner loop's problem that parameters pose."""
    smoothness = beams.smoothness(system._smoothness(parameters))
    problem: inner.FluenceProblem = system._inner.problem(parameters, start, smoothness, beams.beyond_k)
    return problem


def _numbered(system: Any, beams: Any, parameters: Any, start: Any, unknown: Sequence[str], folder: Path) -> str:
    """Save a problem in plain terms and return its file's name."""
    problem = problem_of(system, beams, parameters, start)

    def plain(each: Any) -> dict[str, Any]:
        return {name: value for name, value in _as_dict(each).items() if name not in unknown}

    smoothness = None if "smoothness" in unknown or problem.smoothness is None else _as_dict(problem.smoothness)
    given = {
        "terms": [plain(term) for term in problem.terms],
        "constraints": [plain(constraint) for constraint in problem.constraints],
        "smoothness": smoothness,
        "start": None if start is None else _as_dict(start),
    }
    _save(folder / "problem", given)
    return "problem"


def _as_dict(given: Any) -> dict[str, Any]:
    return {field.name: getattr(given, field.name) for field in fields(given) if not field.name.startswith("_")}


def _traced(prepared: Any) -> dict[str, Any]:
    """What was traced, with depths of every beam, as revisions know it that do not share them."""
    own = {"depth_mm": prepared.depth_mm[list(prepared.source)], "source": tuple(range(len(prepared.beams)))}
    return {**_as_dict(prepared), **own}


def _save(path: Path, what: Any) -> None:
    path.write_bytes(pickle.dumps(what))


def _load(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


@contextmanager
def _worktree(revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "revision"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


class _Solver:
    """A revision's solver in a process of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.name = "new" if root == ROOT else "old"
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, str(folder), self.name]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.knows: list[str] = self._answer()

    def ask(self, *words: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.name} revision's solver has ended; see above")
        return json.loads(line)

    def __enter__(self) -> _Solver:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(folder: Path, name: str) -> None:
    """Solve what is asked for on stdin, by the revision that is imported."""
    known = [*_names(inner.DoseConstraint), *_names(inner.FluenceProblem)]
    _say([each for each in OPTIONAL if each in known])
    solver: Any = None
    beyond: Any = None
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "patient":
            patient, traced = _load(folder / "patient"), _load(folder / "beyond")
            bixels = _made(Bixels, patient["bixels"])
            solver = inner.inner_solver("newton", patient["matrix"], bixels)
            beyond = None if traced is None else _beyond(solver, _made(Prepared, traced), bixels)
            _say({})
            continue
        given = _load(folder / rest[0])
        problem = {
            "terms": [_made(inner.Term, term) for term in given["terms"]],
            "constraints": [_made(inner.DoseConstraint, constraint) for constraint in given["constraints"]],
            "start": None if given["start"] is None else _made(inner.FluenceSolution, given["start"]),
            "smoothness": None if given["smoothness"] is None else inner.Smoothness(**given["smoothness"]),
            "beyond_k": beyond,
        }
        posed = _made(inner.FluenceProblem, problem)
        began = process_time()
        (solution,) = solver.solve_batch([posed])
        seconds = process_time() - began
        _save(folder / f"solution-{name}", {"fluence": solution.fluence, "multipliers": solution.multipliers})
        met = all(constraint.met for constraint in solution.constraints)
        _say({"seconds": seconds, "steps": solution.iterations, "met": met})


def _beyond(solver: Any, prepared: Any, bixels: Any) -> Any:
    return lambda fluence: prepared.forward(bixels, fluence) - solver.dose(fluence)


def _names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]


def _made(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**{name: value for name, value in values.items() if name in _names(kind)})


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])
