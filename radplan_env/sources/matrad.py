"""matRad patients: ``.mat`` files with ``ct`` and ``cst`` (https://github.com/e0404/matRad)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from radplan_env.case import Case
from radplan_env.errors import CaseError
from radplan_env.reference import require_pyradplan
from radplan_env.sources._images import content_id, to_lps
from radplan_env.structure_names import map_names

_TG119_NAMES = {"OuterTarget": "PTV_5000", "Core": "Core", "BODY": "Body"}


def load(file: str | Path, *, name_map: Mapping[str, str | None] | None = None, case_id: str | None = None) -> Case:
    """Read one patient.

    A dose in ``resultGUI`` is not taken as reference dose: matRad keeps it per fraction.

    Parameters
    ----------
    file
        The ``.mat`` file.
    name_map
        The file's structure names to TG-263 names, where the built-in map does not know them or is wrong;
        None leaves a structure out.
    case_id
        Id of the case; by default ``"matrad/"`` and a hash of the CT (a file name may tell who it is).

    Raises
    ------
    CaseError
        If the file is missing, damaged, or holds no CT or structures; see also `Case`.
    ImportError
        If pyRadPlan is not installed.
    """
    ct, cst = _read(Path(file))
    ct_hu, grid = to_lps(ct.cube_hu)
    vois = {voi.name: voi for voi in cst.vois}
    try:
        names, unmapped = map_names(vois, name_map)
    except CaseError as error:
        raise CaseError(f"{file}: {error}") from error
    return Case(
        id=case_id or f"matrad/{content_id(ct_hu)}",
        ct_hu=ct_hu,
        structures={names[name]: to_lps(vois[name].mask)[0] for name in names},
        grid=grid,
        source="matrad",
        unmapped=unmapped,
    )


def structure_names(file: str | Path) -> tuple[str, ...]:
    """The names of all structures in a file.

    Raises
    ------
    CaseError
        See `load`.
    """
    return tuple(voi.name for voi in _read(Path(file))[1].vois)


def tg119() -> Case:
    """The C-shape phantom of AAPM TG-119 that ships with pyRadPlan: PTV_5000 around Core; ImportError without it."""
    require_pyradplan("the TG-119 phantom")
    file = resources.files("pyRadPlan.data.phantoms").joinpath("TG119.mat")
    with resources.as_file(file) as path:
        return load(path, name_map=_TG119_NAMES, case_id="matrad/TG119")


def _read(file: Path) -> tuple[Any, Any]:
    """CT and structures as pyRadPlan holds them."""
    if not file.is_file():
        raise CaseError(f"{file} is missing")
    require_pyradplan("the reader of matRad files")
    from pyRadPlan.io import load_patient

    try:
        ct, cst = load_patient(file)
    except Exception as error:  # the reader raises whatever the damage leads to
        raise CaseError(f"{file} is damaged or no matRad patient: {error}") from error
    if cst is None:
        raise CaseError(f"{file} holds no structures (cst)")
    return ct, cst
