"""What a run may be called: the suite it was asked for as, or not, and whether it is complete."""

from __future__ import annotations

from experiments.recording.records import FAILED, RunFolder, Settings
from experiments.suites import Suite, load_suite
from experiments.wording import counted
from radplan_env.protocol import load_protocol


def standing(folder: RunFolder) -> list[str]:
    """Return the first lines of a run's report: its suite, or in what it is not that suite, and what it lacks."""
    return [*_suite_lines(folder), *_incomplete_lines(folder)]


def protocol_has_changed(settings: Settings) -> bool:
    """Return whether a run's plans were judged by another version of its protocol than the present one."""
    return settings.protocol_digest not in ("", load_protocol(settings.protocol).digest())


def altered_cases(folder: RunFolder) -> dict[str, str]:
    """Return the cases that only bear the id of a case of the run's suite, and what is said of them."""
    name = folder.settings.suite
    if name is None:
        return {}
    return dict.fromkeys(load_suite(name).altered(digests(folder)), f"its data are not those that {name} was made with")


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
