"""From --site, --source, --data, --split and --cases to cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from radplan_env import ANY_PROTOCOL
from radplan_env.errors import CaseError
from radplan_env.plugins import PluginError
from radplan_env.protocol import Protocol
from radplan_env.sites import SITES, Site, environment_id, site_id
from radplan_env.sources import SOURCES, Cohort, CohortRequest, Source
from radplan_env.sources.cohort import shortened
from radplan_env.structure_names import is_tg263, naming_problem
from radplan_env.yaml_files import YAMLFileError, read_yaml


class UsageError(Exception):
    """Something asked for cannot be had; the message is one line and says what can."""


@dataclass(frozen=True)
class Origin:
    """Where cases come from, as the options of a command line say it.

    Parameters
    ----------
    source : str
        A name in `radplan_env.sources.SOURCES`.
    data : tuple of str
        Files or folders to read.
    split : str
        Part of the cohort, for the sources that have parts.
    names : str, optional
        YAML file with the data's structure names and what each is called in TG-263.
    reference_dose : bool
        Whether to read the dose of the patients' own plans.
    structures : tuple of str
        Names that the protocol uses and that are not recognised in data by themselves: see `unrecognised`.
    """

    source: str
    data: tuple[str, ...] = ()
    split: str = "test"
    names: str | None = None
    reference_dose: bool = True
    structures: tuple[str, ...] = ()


_OPTIONS = {"reference_dose": "--no-reference-dose"}
"""Options that are not called as the field of a `CohortRequest` they set."""


def site_named(name: str) -> Site:
    """The site of a name.

    Raises
    ------
    UsageError
        If there is none, or another package's cannot be loaded.
    """
    try:
        return SITES[site_id(name)]
    except KeyError:
        raise UsageError(
            f"--site: no site {name!r}; choose from {', '.join(SITES)}, or give a protocol of your own with --protocol"
        ) from None
    except PluginError as error:
        raise UsageError(f"--site: {error}") from error


def environment_of(site: str) -> str:
    """What `gymnasium.make` takes for a site; for a protocol of one's own, the environment of any protocol."""
    return f"radplan_env:{environment_id(site) if site in SITES else ANY_PROTOCOL}"


def source_named(name: str) -> Source:
    """The source of a name.

    Raises
    ------
    UsageError
        If there is none, or another package's cannot be loaded.
    """
    try:
        return SOURCES[name]
    except KeyError:
        raise UsageError(f"--source: no source {name!r}; choose from {', '.join(SOURCES)}") from None
    except PluginError as error:
        raise UsageError(f"--source: {error}") from error


@lru_cache(maxsize=1)
def open_cohort(origin: Origin) -> Cohort:
    """The cases of an origin, read when asked for.

    Raises
    ------
    UsageError
        If source, split, data or names are not there or hold no cases.
    """
    source, request = source_named(origin.source), _request(origin)
    for field, problem in source.problems(request).items():
        option = _OPTIONS.get(field, f"--{field}")
        other = (
            ", or say what reads it: for folders of DICOM files --source dicom"
            if field == "data" and not source.data
            else ""
        )
        raise UsageError(f"{option}: {problem}{other}")
    try:
        return source.cohort(request)
    except (CaseError, OSError) as error:
        raise UsageError(f"--source {origin.source}: {error}") from error


def names_not_found(origin: Origin) -> tuple[str, ...]:
    """Structure names in the file of --names that no patient has."""
    return source_named(origin.source).names_not_found(_request(replace(origin, structures=())))


def unrecognised(protocol: Protocol) -> tuple[str, ...]:
    """Structures of a protocol that data may hold under the same name, yet no reader knows by itself."""
    return tuple(name for name in protocol.slots if not is_tg263(name))


def _request(origin: Origin) -> CohortRequest:
    names = read_names(origin.names)
    if origin.structures and origin.data and source_named(origin.source).structure_names is not None:
        names = {**{name: name for name in origin.structures}, **(names or {})}
    return CohortRequest(origin.data, origin.split, names, origin.reference_dose)


def select(ids: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Case ids from what --cases says: a number (the first so many), "all", or ids.

    An id may be given whole ("openkbp/pt_247") or by its last part ("pt_247").

    Raises
    ------
    UsageError
        If there are fewer cases, no such id, or an id twice.
    """
    if list(wanted) == ["all"]:
        return tuple(ids)
    if len(wanted) == 1 and wanted[0].isdigit():
        count = int(wanted[0])
        if not 1 <= count <= len(ids):
            raise UsageError(f"--cases {count}: there are {len(ids)} here; ask for 1 to {len(ids)}")
        return tuple(ids[:count])
    whole = {name: case_id for case_id in ids for name in (case_id, case_id.rpartition("/")[2])}
    if unknown := [name for name in wanted if name not in whole]:
        raise UsageError(f"--cases: no {' '.join(unknown)} among {shortened(ids)}")
    chosen = tuple(whole[name] for name in wanted)
    if not chosen or len(set(chosen)) < len(chosen):
        raise UsageError("--cases: give a number, 'all', or ids, each once")
    return chosen


def read_names(path: str | None) -> dict[str, str | None] | None:
    """A YAML file of structure names: ``Prostate PTV: PTV_7020``; ``null`` leaves a structure out.

    Raises
    ------
    UsageError
        If it cannot be read or holds anything else.
    """
    if path is None:
        return None
    try:
        names = read_yaml(path)
    except YAMLFileError as error:
        raise UsageError(f"--names {path}: {error}") from error
    if not isinstance(names, Mapping) or not all(isinstance(new, str | None) for new in names.values()):
        raise UsageError(f"--names {path}: want lines such as 'Prostate PTV: PTV_7020' or 'Couch: null'")
    if problems := [text for new in names.values() if new is not None and (text := naming_problem(new))]:
        raise UsageError(f"--names {path}: {'; '.join(problems)}")
    return {str(old): new for old, new in names.items()}
