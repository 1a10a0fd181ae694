"""Structure names: the AAPM TG-263 names in use here, and how other spellings map onto them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

from radplan_env.errors import CaseError

TARGET_PATTERN = re.compile(r"(GTV|CTV|ITV|PTV)[pn]?\d?(_(\d{4,5}|High|Mid|Low))?")
"""Targets: ``PTV``, ``CTVn``, ``PTV_7000`` (total dose in cGy), ``PTV_High`` …"""

_UNPAIRED = """
    Body Core Bladder Rectum Prostate ProstateBed Rectal_Spacer SeminalVes PenileBulb Urethra Uterus UteroCervix Cervix
    Vagina Vulva Genitals Scrotum Bowel Bowel_Bag Bowel_Small Bowel_Large Spc_Bowel Jejunum Ileum Cecum Appendix Colon
    Colon_Ascending Colon_Decending Colon_Transverse Colon_Sigmoid Anus Anal_Canal Duodenum Stomach Liver Gallbladder
    BileDuct_Common Pancreas Spleen Sacrum CaudaEquina
    Brain Brainstem Cerebellum Cerebrum CorpusCallosum Hypothalmus Pons Pineal OpticChiasm Pituitary
    SpinalCord SpinalCord_Cerv SpinalCord_Thor SpinalCord_Lum SpinalCanal
    Cavity_Nasal Cavity_Oral Lips Tongue Tongue_Base Palate_Soft Nasopharynx Oropharynx Larynx Larynx_SG Glottis Pharynx
    Cricopharyngeus Musc_Constrict Musc_Constrict_I Musc_Constrict_M Musc_Constrict_S Cartlg_Thyroid Bone_Hyoid
    Bone_Mandible Bone_Pelvic Glnd_Thyroid Esophagus Esophagus_I Esophagus_M Esophagus_S Trachea Carina BronchialTree
    Heart Pericardium GreatVes Aorta A_Pulmonary V_Venacava_I V_Venacava_S Mediastinum Chestwall Sternum Thymus
    Diaphragm Skin Scar
"""
_PAIRED = """
    Femur Femur_Head Pelvis Kidney Kidney_Cortex Ureter Ovary Testis Lung Bronchus Breast Chestwall Clavicle Scapula
    Parotid Glnd_Submand Glnd_Adrenal Glnd_Lacrimal Eye Lens Retina Cornea OpticNrv Cochlea Ear_Internal Ear_Middle
    Ear_External Hippocampus Amygdala Thalamus Lobe_Frontal Lobe_Occipital Lobe_Parietal Lobe_Temporal BrachialPlex
    Humerus Humerus_Head Joint_TM A_LAD A_Carotid Atrium Ventricle
"""
TG263_NAMES: frozenset[str] = frozenset(
    [
        *_UNPAIRED.split(),
        *("Lungs", "Kidneys", "Eyes", "Parotids", "Glnd_Submands"),
        *(f"{n}_{side}" for n in _PAIRED.split() for side in "LR"),
    ]
)
"""The commonest organs of TG-263, which are recognised in data, plus ``Core``, TG-119's avoidance structure."""

ORGAN_PATTERN = re.compile(r"(?=.{2,16}$)[A-Z][A-Za-z0-9]*([_~][A-Z0-9][A-Za-z0-9]*)*")
"""How TG-263 spells organs (its section 7): at most 16 characters, capitalised parts joined by underscores."""

# Other spellings, without side, case and punctuation.
_SPELLINGS: Mapping[str, str] = {
    "external": "Body", "outline": "Body", "skinoutline": "Body", "outercontour": "Body", "patient": "Body",
    "externalcontour": "Body", "bodyoutline": "Body", "outertarget": "PTV",
    "urinarybladder": "Bladder",
    "seminalvesicles": "SeminalVes", "bowelbag": "Bowel_Bag", "smallbowel": "Bowel_Small",
    "largebowel": "Bowel_Large", "sigmoid": "Colon_Sigmoid", "penilebulb": "PenileBulb",
    "femoralhead": "Femur_Head", "femhead": "Femur_Head", "headfemur": "Femur_Head",
    "brainstem": "Brainstem", "cord": "SpinalCord", "myelon": "SpinalCord",
    "chiasm": "OpticChiasm", "chiasma": "OpticChiasm", "opticnerve": "OpticNrv",
    "parotidgland": "Parotid", "glndparotid": "Parotid", "submandibulargland": "Glnd_Submand",
    "submandibular": "Glnd_Submand", "oralcavity": "Cavity_Oral", "mandible": "Bone_Mandible",
    "oesophagus": "Esophagus", "thyroid": "Glnd_Thyroid", "brachialplexus": "BrachialPlex",
}  # fmt: skip
_SMALLEST_UNITLESS_GY = 20.0
"""``PTV70`` is a dose, ``PTV10`` as likely the tenth target."""

_SIDES = {"l": "L", "lt": "L", "left": "L", "r": "R", "rt": "R", "right": "R"}


def is_target(name: str) -> bool:
    """Whether this is a TG-263 target name."""
    return TARGET_PATTERN.fullmatch(name) is not None


def is_tg263(name: str) -> bool:
    """Whether this is a TG-263 name that is recognised in data: a target's, or one of `TG263_NAMES`."""
    return name in TG263_NAMES or is_target(name)


def naming_problem(name: str) -> str | None:
    """Say why nothing can be called `name`, None for a good name.

    Protocols and maps of names may use any organ that is spelled as TG-263 spells them (``OpticNrv_PRV03_L``), unless
    it looks like another spelling of one of `TG263_NAMES`, which is then meant.
    """
    if is_tg263(name):
        return None
    meant = _meant(name)
    if ORGAN_PATTERN.fullmatch(name) and not meant and not name.upper().startswith(("PTV", "CTV", "GTV", "ITV")):
        return None
    remedy = f"did you mean {meant}?" if meant else "name organs as SpinalCord or Parotid_L, targets as PTV_7020 (cGy)"
    return f"{name!r} is not a TG-263 name; {remedy}"


class CohortNames(dict[str, str | None]):
    """A map of names for a whole cohort, handed to `map_names`: no patient need have them all."""


def standard_name(name: str) -> str | None:
    """The TG-263 name of a structure known by another spelling; None if there is none we know.

    >>> standard_name("Femoral Head (Left)"), standard_name("LeftParotid"), standard_name("PTV70")
    ('Femur_Head_L', 'Parotid_L', 'PTV_7000')
    """
    name = name.strip()
    return name if is_tg263(name) else _target_name(name) or _organ_name(name)


def map_names(
    names: Iterable[str], name_map: Mapping[str, str | None] | None = None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Map a source's names to TG-263 names.

    Parameters
    ----------
    names
        The source's structure names.
    name_map
        What the user knows better: source name to TG-263 name, or to None to leave the structure out. A
        `CohortNames` may name structures that are absent.

    Returns
    -------
    mapped, unmapped
        Source name to TG-263 name; and the names that have none (left-out ones not among them).

    Raises
    ------
    CaseError
        If two structures would get one name, or `name_map` names an absent structure or gives a name
        that is not TG-263.
    """
    names, name_map = tuple(names), name_map or {}
    if odd := [name for name in name_map if not isinstance(name, str)]:
        raise CaseError(f"name_map: {odd} are no names; in YAML, put words such as 'No' or '12' in quotes")
    if odd := [name for name, standard in name_map.items() if not (standard is None or isinstance(standard, str))]:
        raise CaseError(f"name_map: {odd} should map to a TG-263 name, or to None to be left out")
    absent = sorted(set(name_map) - set(names))
    if absent and not isinstance(name_map, CohortNames):
        raise CaseError(f"name_map names {absent}, but the structures are {sorted(names)}")
    if problems := [text for name in name_map.values() if name is not None and (text := naming_problem(name))]:
        raise CaseError(f"name_map: {'; '.join(dict.fromkeys(problems))}")
    mapped: dict[str, str] = {}
    unmapped: list[str] = []
    taken: dict[str, str] = {}
    for name in names:
        standard = name_map[name] if name in name_map else standard_name(name)
        if standard is None:
            if name not in name_map:
                unmapped.append(name)
            continue
        if standard in taken:
            raise CaseError(
                f"structures {taken[standard]!r} and {name!r} both map to {standard!r}: "
                f"leave one out (name_map={{{name!r}: None}}, on the command line a line '{name}: null' in the file of "
                "--names) or give it another name"
            )
        mapped[name] = taken[standard] = standard
        taken[standard] = name
    return mapped, tuple(unmapped)


def _meant(name: str) -> str | None:
    """The TG-263 name of which this is another spelling or a misspelling, if any."""
    return standard_name(name) or next((known for known in sorted(TG263_NAMES) if _is_misspelt(name, known)), None)


def _is_misspelt(name: str, known: str) -> bool:
    """Whether one part differs, by a letter or two: Parotis_L is Parotid_L, but Lung_LLL is not Lung_L."""
    pairs = list(zip(name.split("_"), known.split("_"), strict=False))
    odd = [pair for pair in pairs if pair[0] != pair[1]]
    if name.count("_") != known.count("_") or len(odd) != 1 or name == f"{known}s":
        return False
    return SequenceMatcher(None, *odd[0]).ratio() >= 0.8


def _target_name(name: str) -> str | None:
    """``PTV70``, ``ptv 70.2 Gy`` or ``PTV_7020cGy`` with its dose in cGy, else None; ``PTV10`` may be a number."""
    match = re.fullmatch(r"(gtv|ctv|itv|ptv)[\s_-]*(\d+(?:\.\d+)?)?\s*(gy|cgy)?", name.lower())
    if match is None:
        return None
    kind, number, unit = match.groups()
    if number is None:
        return kind.upper() if unit is None else None
    dose = float(number)
    if unit is None and dose < _SMALLEST_UNITLESS_GY:
        return None
    cgy = dose if unit == "cgy" or (unit is None and dose >= 1000) else dose * 100
    return f"{kind.upper()}_{cgy:.0f}" if 1000 <= cgy < 10000 else None


def _organ_name(name: str) -> str | None:
    if re.search(r"[^A-Za-z0-9\s_.,()-]", name):
        return None  # "Rectum+5", "~Rectum" or letters of another script mean something else
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    sides = [_SIDES[w.lower()] for w in words if w.lower() in _SIDES]
    if len(sides) > 1:
        return None
    key = "".join(w.lower() for w in words if w.lower() not in _SIDES)
    return _BY_KEY.get((key, sides[0] if sides else None))


def _lookup() -> dict[tuple[str, str | None], str]:
    """(spelling without side and punctuation, side) to TG-263 name."""

    def squeezed(name: str) -> str:
        return name.replace("_", "").lower()

    spellings = {squeezed(n): n for n in (*_UNPAIRED.split(), *_PAIRED.split(), "Lungs", "Kidneys")}
    spellings.update(_SPELLINGS)
    names: dict[tuple[str, str | None], str] = {(key, None): n for key, n in spellings.items()}
    names.update({(key, side): f"{n}_{side}" for key, n in spellings.items() for side in "LR"})
    return {key: n for key, n in names.items() if is_tg263(n)}


_BY_KEY = _lookup()
