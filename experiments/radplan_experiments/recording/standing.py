"""What a run may be called: the suite it was asked for as, or not, whether it is complete, and all of it judged."""

from __future__ import annotations

from radplan_env.protocol import available_protocols, load_protocol
from radplan_env.scorecards import load_scorecard
from radplan_env.structure_names import is_target
from radplan_experiments.recording.records import FAILED
from radplan_experiments.recording.run_folder import RunFolder
from radplan_experiments.recording.settings import Settings
from radplan_experiments.suites import Suite, load_suite
from radplan_experiments.wording import counted, listed


def standing(folder: RunFolder) -> list[str]:
    """Return the first lines of a run's report: its suite, or in what it is not that suite, and what it lacks."""
    return [*_suite_lines(folder), *_incomplete_lines(folder), *not_read(folder), *unjudged(folder)]


def not_read(folder: RunFolder) -> list[str]:
    """Say what reading the patients left out or changed; `unjudged` says it where an organ is missing for it."""
    found: dict[str, list[str]] = {}
    for case, known in folder.known_cases().items():
        lines = list(known["notes"])
        if known["unmapped"] and all(map(is_target, known["missing"])):
            names = listed([repr(name) for name in known["unmapped"]])
            lines.append(f"{names} left out, for want of a known name or of an area")
        for line in lines:
            found.setdefault(line, []).append(case)
    return [f"{listed(cases)}: {line}." for line, cases in found.items()]


def unjudged(folder: RunFolder) -> list[str]:
    """Say which organs of the protocol patients lack: without its criteria a plan looks better than it is.

    Targets are another matter: not every patient is treated at every dose level.
    """
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for case, known in folder.known_cases().items():
        if organs := tuple(name for name in known["missing"] if not is_target(name)):
            found.setdefault((organs, tuple(known["unmapped"])), []).append(case)
    return [_unjudged_line(folder.settings, cases, *lacking) for lacking, cases in found.items()]


def other_in_package(settings: Settings) -> bool:
    """Return whether the package has another protocol of the same name than the run's: an earlier or later version."""
    name = settings.protocol.name
    return name in available_protocols() and load_protocol(name).digest() != settings.protocol.digest()


def scorecard_has_changed(settings: Settings) -> bool:
    """Return whether a run's plans were scored by another version of its scorecard than the present one.

    One that is not installed counts as another.
    """
    try:
        return load_scorecard(settings.scorecard.name).digest != settings.scorecard.digest
    except ValueError:
        return True


def altered_cases(folder: RunFolder) -> dict[str, str]:
    """Return the cases that only bear the id of a case of the run's suite, and what is said of them."""
    name = folder.settings.suite
    if name is None:
        return {}
    return dict.fromkeys(load_suite(name).altered(digests(folder)), f"its data are not those that {name} was made with")


def _unjudged_line(settings: Settings, cases: list[str], organs: tuple[str, ...], unmapped: tuple[str, ...]) -> str:
    criteria = [criterion.structure for criterion in settings.protocol.criteria]
    lost = sum(structure in organs for structure in criteria)
    where = "any patient" if len(cases) == len(settings.cases) > 1 else listed(cases)
    line = (
        f"Not judged: there is no {' and no '.join(organs)} on {where}, so {lost} of the protocol's {len(criteria)} "
        f"criteria {'is' if lost == 1 else 'are'} left out and the others count more; scores cannot be compared with "
        "those of complete patients."
    )
    if not unmapped:
        return line
    names = listed([repr(name) for name in unmapped])
    return f"{line} Left out as well, since their names are not known: {names}. Give --names a file that maps them."


def _suite_lines(folder: RunFolder) -> list[str]:
    name = folder.settings.suite
    if name is None:
        return []
    try:
        suite = load_suite(name)
    except ValueError as error:
        return [f"Not {name}: {error}"]
    if departures := _departures(suite, folder):
        return [f"Not {name}: {'; '.join(departures)}."]
    return [f"Suite {name}: {suite.asks} {suite.limits}"]


def _departures(suite: Suite, folder: RunFolder) -> list[str]:
    found = list(suite.departures(folder.settings))
    if missing := suite.missing(folder.settings.cases):
        found.append(f"{', '.join(missing)} missing")
    if altered := suite.altered(digests(folder)):
        found.append(f"{', '.join(altered)} with other data")
    return found


def _incomplete_lines(folder: RunFolder) -> list[str]:
    unplayed, all_episodes = len(folder.todo()), sum(1 for _ in folder.settings.episodes())
    failed = sum(record["status"] == FAILED for record in folder.records.values())
    lacking = [f"{number} {what}" for number, what in ((unplayed, "not played"), (failed, "failed")) if number]
    return [f"Incomplete: of {counted(all_episodes, 'episode')} {', '.join(lacking)}."] if lacking else []


def digests(folder: RunFolder) -> dict[str, str]:
    """Return `Case.digest` by id, of the cases that have been prepared."""
    return {case: known["digest"] for case, known in folder.known_cases().items()}
