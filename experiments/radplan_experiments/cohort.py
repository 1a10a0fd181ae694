"""From --site, --source, --data, --split and --cases to cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.sources import dicom, matrad, openkbp, synthetic
from radplan_env.sources.cohort import Cohort
from radplan_env.yaml_files import YAMLFileError, read_yaml

SPLITS = ("train", "validation", "test")


class UsageError(Exception):
    """Something asked for that there is not; the message is one line and says what there is."""


@dataclass(frozen=True)
class Site:
    """A task: its environment, its protocol, where its cases come from and how many unless told otherwise."""

    environment: str
    protocol: str
    source: str
    cases: str = "all"


SITES = {
    "prostate": Site("radplan_env:RadPlan/Prostate-v0", "prostate", "synthetic", cases="3"),
    "head-and-neck": Site("radplan_env:RadPlan/HeadAndNeck-v0", "head_and_neck", "openkbp"),
    "tg119": Site("radplan_env:RadPlan/TG119-v0", "tg119", "matrad"),
}


@dataclass(frozen=True)
class Origin:
    """Where cases come from, as the options of compare.py say it.

    Parameters
    ----------
    source : str
        "synthetic", "openkbp", "dicom" or "matrad".
    data : tuple of str
        Files or folders to read.
    split : str
        Part of the cohort, for the sources that have parts.
    names : str, optional
        YAML file with the data's structure names and what each is called in TG-263.
    """

    source: str
    data: tuple[str, ...] = ()
    split: str = "test"
    names: str | None = None


@lru_cache(maxsize=1)
def open_cohort(origin: Origin) -> Cohort:
    """The cases of an origin, read when asked for.

    Raises
    ------
    UsageError
        If source, split, data or names are not there or hold no cases.
    """
    if origin.source not in _SOURCES:
        raise UsageError(f"no source {origin.source!r}; there are {', '.join(_SOURCES)}")
    if origin.split not in SPLITS:
        raise UsageError(f"no split {origin.split!r}; there are {', '.join(SPLITS)}")
    if missing := [path for path in origin.data if not Path(path).exists()]:
        raise UsageError(f"--data: there is no {' and no '.join(missing)}")
    if origin.names is not None and origin.source not in ("dicom", "matrad"):
        raise UsageError(f"--names is for dicom and matrad: the names of {origin.source} cases are known")
    try:
        return _SOURCES[origin.source](origin)
    except (CaseError, OSError) as error:
        raise UsageError(f"--source {origin.source}: {error}") from error


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
        raise UsageError(f"--cases: no {' '.join(unknown)} among {_shortened(ids)}")
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
    return {str(old): new for old, new in names.items()}


def _synthetic(origin: Origin) -> Cohort:
    if origin.data:
        raise UsageError("--source synthetic draws its cases from seeds and reads no --data: leave it out")
    cases = synthetic.load(origin.split)  # type: ignore[arg-type]
    return Cohort(tuple(cases.ids), lambda case_id: cases[cases.ids.index(case_id)])


def _openkbp(origin: Origin) -> Cohort:
    if len(origin.data) != 1:
        raise UsageError("--source openkbp needs --data FOLDER: 'provided-data' of https://github.com/ababier/open-kbp")
    return openkbp.load(origin.data[0], origin.split)


def _dicom(origin: Origin) -> Cohort:
    if not origin.data:
        raise UsageError("--source dicom needs --data FOLDER …: for each patient a folder with CT and RTSTRUCT")
    names = read_names(origin.names)
    return _numbered(origin, lambda path, case_id: dicom.load(path, name_map=names, case_id=case_id))


def _matrad(origin: Origin) -> Cohort:
    names = read_names(origin.names)
    if not origin.data and names is None:
        return Cohort(("matrad/TG119",), lambda case_id: matrad.tg119())
    if not origin.data:
        raise UsageError("--names is for files given with --data")
    return _numbered(origin, lambda path, case_id: matrad.load(path, name_map=names, case_id=case_id))


def _numbered(origin: Origin, read: Callable[[str, str], Case]) -> Cohort:
    """A case a path, called by its place: a file's name may tell who the patient is."""
    paths = {f"{origin.source}/{number}": path for number, path in enumerate(origin.data, start=1)}
    return Cohort(tuple(paths), lambda case_id: read(paths[case_id], case_id))


_SOURCES: dict[str, Callable[[Origin], Cohort]] = {
    "synthetic": _synthetic,
    "openkbp": _openkbp,
    "dicom": _dicom,
    "matrad": _matrad,
}


def _shortened(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= 12 else f"{', '.join(ids[:10])}, … ({len(ids)} in all)"
