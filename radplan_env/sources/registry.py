"""Sources of cases by name, with what each one needs. Readers are imported when a cohort is opened.

Another package adds a source through the entry-point group ``radplan_env.sources``: the entry point is called as the
source's id and names a `Source`. See CONTRIBUTING.md for an example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from radplan_env.errors import CaseError
from radplan_env.plugins import Registry, object_of
from radplan_env.sources.cohort import Cohort
from radplan_env.structure_names import CohortNames

if TYPE_CHECKING:
    from radplan_env.case import Case

GROUP = "radplan_env.sources"
SPLITS = ("train", "validation", "test")
"""Parts of a cohort; a source may have others beside them."""


@dataclass(frozen=True)
class CohortRequest:
    """What is asked of a source.

    Parameters
    ----------
    data : tuple of str
        Files or folders to read.
    split : str
        Part of the cohort, for sources that have parts: one of `SPLITS`, or of the source's own.
    names : Mapping[str, str or None], optional
        Structure names of the data and their TG-263 names, None for structures to leave out. They are for a whole
        cohort: no patient need have them all.
    reference_dose : bool
        Whether to read the dose of the patients' own plans.
    """

    data: tuple[str, ...] = ()
    split: str = "test"
    names: Mapping[str, str | None] | None = field(default=None, hash=False)
    reference_dose: bool = True


@dataclass(frozen=True)
class Source:
    """Where cases come from, and what has to be given to read them.

    Parameters
    ----------
    id : str
        Short name, as `--source` takes it, and `Case.source` of its cases.
    open : callable
        Returns the `Cohort` of a `CohortRequest`; reads no case yet where it can be helped.
    data : str
        What it reads, in words ("the provided-data folder"); empty for a source that reads no data.
    needs_data : bool
        Whether `data` must be given.
    has_splits : bool
        Whether its cohort is split into training, validation and test cases.
    structure_names : callable, optional
        Returns the names of all structures in one of the `data` paths; given where names may be mapped.
    has_reference_dose : bool
        Whether its cases may hold the dose of a plan that can be left out.
    public : bool
        Whether its cases are open data or invented. Those of others may show who a patient is: their pictures stay on
        this machine unless the user says otherwise.
    more_splits : tuple of str
        Parts of its cohort beside training, validation and test.
    reads_folders : bool
        Whether each of the `data` is a folder.
    """

    id: str
    open: Callable[[CohortRequest], Cohort]
    data: str = ""
    needs_data: bool = False
    has_splits: bool = False
    structure_names: Callable[[str], tuple[str, ...]] | None = None
    has_reference_dose: bool = False
    public: bool = False
    more_splits: tuple[str, ...] = ()
    reads_folders: bool = False

    def problems(self, request: CohortRequest) -> dict[str, str]:
        """Say by field what a request lacks, or asks for in vain; empty if it can be opened."""
        found = {}
        if self.needs_data and not request.data:
            found["data"] = f"{self.id} needs data: {self.data}"
        elif request.data and not self.data:
            found["data"] = f"{self.id} reads no data; leave it out"
        elif missing := [path for path in request.data if not Path(path).exists()]:
            found["data"] = f"there is no {' and no '.join(missing)}"
        elif self.reads_folders and (files := [path for path in request.data if Path(path).is_file()]):
            found["data"] = f"{files[0]} is a file, {self.id} reads {self.data}: unpack an archive and name its folder"
        if request.split not in (splits := (*SPLITS, *self.more_splits)):
            found["split"] = f"{self.id} has no split {request.split!r}; choose from {', '.join(splits)}"
        if request.names is not None and self.structure_names is None:
            found["names"] = f"the structures of {self.id} cases have their TG-263 names already; leave it out"
        elif request.names is not None and not request.data:
            found["names"] = "names are for files given as data"
        if not request.reference_dose and not self.has_reference_dose:
            found["reference_dose"] = f"{self.id} has no doses that could be left out"
        return found

    def cohort(self, request: CohortRequest) -> Cohort:
        """Open the cohort of a request.

        Raises
        ------
        CaseError
            If the request does not fit the source, or there are no cases.
        """
        if problems := self.problems(request):
            raise CaseError("; ".join(f"{name}: {text}" for name, text in problems.items()))
        return self.open(request)

    def names_not_found(self, request: CohortRequest) -> tuple[str, ...]:
        """Return the names to map that no patient has; none while a patient's structures cannot be read."""
        if self.structure_names is None or not request.names:
            return ()
        found: set[str] = set()
        for path in request.data:
            try:
                found.update(self.structure_names(path))
            except CaseError:
                return ()  # its case says why; what this patient has is not known
        return tuple(name for name in request.names if name not in found)


def source_of(case: Case) -> Source | None:
    """Return the source that a case says it is from; None for a case made from arrays."""
    return SOURCES.get(case.source)


def _synthetic(request: CohortRequest) -> Cohort:
    from radplan_env.sources import synthetic

    return synthetic.load(request.split)  # type: ignore[arg-type]


def _openkbp(request: CohortRequest) -> Cohort:
    from radplan_env.sources import openkbp

    if len(request.data) != 1:
        raise CaseError(f"openkbp reads one folder, not {len(request.data)}: give {_OPENKBP_DATA}")
    return openkbp.load(request.data[0], request.split)


def _dicom(request: CohortRequest) -> Cohort:
    from radplan_env.sources import dicom

    names = None if request.names is None else CohortNames(request.names)

    def read(path: str, case_id: str) -> Case:
        return dicom.load(path, name_map=names, case_id=case_id, reference_dose=request.reference_dose)

    return numbered("dicom", request.data, read)


def _dicom_names(path: str) -> tuple[str, ...]:
    from radplan_env.sources import dicom

    return dicom.structure_names(path)


def _matrad(request: CohortRequest) -> Cohort:
    from radplan_env.sources import matrad

    if not request.data:
        return Cohort(("matrad/TG119",), lambda case_id: matrad.tg119())

    names = None if request.names is None else CohortNames(request.names)

    def read(path: str, case_id: str) -> Case:
        return matrad.load(path, name_map=names, case_id=case_id)

    return numbered("matrad", request.data, read)


def _matrad_names(path: str) -> tuple[str, ...]:
    from radplan_env.sources import matrad

    return matrad.structure_names(path)


def numbered(source: str, paths: tuple[str, ...], read: Callable[[str, str], Case]) -> Cohort:
    """Return a cohort of one case a path, named by its position: a file's name may tell who the patient is.

    Parameters
    ----------
    source : str
        Id of the source; ids are ``"source/1"``, ``"source/2"``, …
    paths : tuple of str
    read : callable
        Reads the case of a path, given its id.
    """
    by_id = {f"{source}/{number}": path for number, path in enumerate(paths, start=1)}
    return Cohort(tuple(by_id), lambda case_id: read(by_id[case_id], case_id))


_OPENKBP_DATA = "the folder 'provided-data' of https://github.com/ababier/open-kbp"

SOURCES: Registry[Source] = Registry(
    GROUP,
    {
        source.id: source
        for source in (
            Source("synthetic", _synthetic, has_splits=True, public=True, more_splits=("hard-test",)),
            Source(
                "openkbp",
                _openkbp,
                data=_OPENKBP_DATA,
                needs_data=True,
                has_splits=True,
                public=True,
                reads_folders=True,
            ),
            Source(
                "dicom",
                _dicom,
                data="for each patient a folder with CT and RTSTRUCT",
                needs_data=True,
                structure_names=_dicom_names,
                has_reference_dose=True,
                reads_folders=True,
            ),
            Source("matrad", _matrad, data="for each patient a .mat file", structure_names=_matrad_names),
        )
    },
    object_of(Source, GROUP),
)
"""Sources by id: those of this package, and those of others that are installed."""
