"""What is wrong with a protocol: doses that do not fit its prescriptions, keys nobody knows, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from radplan_env.criterion import OUTSIDE_TARGETS, Criterion, Model, in_gy
from radplan_env.metrics import parse_metric
from radplan_env.slots import HIGHEST_OF_RX, Organ, Target
from radplan_env.structure_names import is_target

LOWEST_ASKED, HIGHEST_ASKED = 0.5, 1.05
"""A lower limit on a target's dose lies in this range, as multiples of its prescription: no plan is held to more."""

LOWEST_ALLOWED = 0.95
"""An upper limit on a target's dose is no lower than this multiple of its prescription: coverage would break it."""

PROTOCOL_KEYS = (
    *("name", "title", "fractions", "source", "beams", "gantry_angles_deg", "collimator_angles_deg"),
    *("targets", "organs", "criteria", "scorecards"),
)

_DOSES_OF_SLOTS = ("start_objective_dose_gy", "objective_dose_range_gy")
_DOSES_OF_CRITERIA = ("at_most", "at_least", "tolerance", "ideal", "unacceptable")

Part = TypeVar("Part", bound=Model)


def doses_in_gy(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol's content with every "102 % of Rx" in Gy.

    Of the structure's own prescription for a target, of the highest one otherwise. What cannot be converted is left
    as it is, for the part it belongs to to refuse.
    """
    given = data.get("targets")
    targets = [target for target in given if isinstance(target, Mapping)] if isinstance(given, list | tuple) else []
    rx_gy = {
        str(target.get("structure")): float(target["prescription_gy"])
        for target in targets
        if isinstance(target.get("prescription_gy"), int | float)
    }
    highest = max(rx_gy.values(), default=None)

    def converted(entry: Any, keys: Sequence[str]) -> Any:
        if not isinstance(entry, Mapping):
            return entry
        rx = rx_gy.get(str(entry.get("structure")), highest)
        return {
            key: _converted(value, rx) if key in keys and _is_dose(entry) else value for key, value in entry.items()
        }

    found = dict(data)
    for part, keys in (("targets", _DOSES_OF_SLOTS), ("organs", _DOSES_OF_SLOTS), ("criteria", _DOSES_OF_CRITERIA)):
        if isinstance(data.get(part), list | tuple):
            found[part] = [converted(entry, keys) for entry in data[part]]
    return found


def inconsistencies(targets: Sequence[Target], organs: Sequence[Organ], criteria: Sequence[Criterion]) -> list[str]:
    """Say what does not fit together in a protocol."""
    slots = [slot.structure for slot in (*targets, *organs)]
    found = list(_wrong_slots(targets, organs))
    for what, names in (("structure", slots), ("criterion", [c.name for c in criteria])):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            found.append(f"the same {what} twice: {', '.join(twice)}")
    for criterion in criteria:
        found += [f"criterion {criterion.name!r}: {fault}" for fault in _wrong_structure(criterion, slots)]
    if targets and targets[0].structure not in {criterion.structure for criterion in criteria}:
        found.append(f"no criterion for the primary target {targets[0].structure}")
    return found + list(_implausible(targets, organs, criteria))


def explained(error: ValidationError, content: Any) -> list[str]:
    """Return every fault of a protocol's content: its key, its name, what is wrong and, for unknown keys, a guess.

    Parameters
    ----------
    error : ValidationError
        Of `Protocol.model_validate`.
    content : object
        What was validated.
    """
    faults = [line for each in error.errors() for line in _lines(each, content)]
    if isinstance(content, Mapping) and all(each["loc"] for each in error.errors()):
        # What does not fit together is looked for only once the parts are valid: here among those that are.
        data = doses_in_gy(content)
        sound = [list(_sound(data.get(part), kind)) for part, kind in _PARTS.items()]
        valid = all(found and len(found) == len(data[part]) for part, found in zip(_PARTS, sound, strict=True))
        wrong = inconsistencies(*sound) if valid else list(_implausible(*sound))  # type: ignore[arg-type]
        faults += [f"top level: {text}" for text in wrong]
    return faults


_PARTS: dict[str, type[Model]] = {"targets": Target, "organs": Organ, "criteria": Criterion}


def _wrong_slots(targets: Sequence[Target], organs: Sequence[Organ]) -> Iterator[str]:
    prescriptions = [target.prescription_gy for target in targets]
    if prescriptions != sorted(prescriptions, reverse=True):
        yield "list the targets from the highest prescription to the lowest"
    if wrong := [slot.structure for slot in targets if not is_target(slot.structure)]:
        yield f"{', '.join(wrong)} under targets: targets are named PTV, CTV or GTV"
    if wrong := [slot.structure for slot in organs if is_target(slot.structure)]:
        yield f"{', '.join(wrong)} under organs: move it to targets"
    if not organs or organs[-1].structure != "Body":
        yield "the last of the organs must be Body"


def _wrong_structure(criterion: Criterion, slots: Sequence[str]) -> Iterator[str]:
    if criterion.structure not in (*slots, OUTSIDE_TARGETS):
        yield f"its structure is no target or organ of the protocol{_meant(criterion.structure, slots)}"
    if criterion.metric in ("HI", "CI") and not is_target(criterion.structure):
        yield f"{criterion.metric} is for targets"
    if criterion.metric == "R50" and criterion.structure != "Body":
        yield "R50 is for Body"


def _implausible(targets: Sequence[Target], organs: Sequence[Organ], criteria: Sequence[Criterion]) -> Iterator[str]:
    """Doses that cannot be meant with these prescriptions, as in a copy that kept those of another one."""
    rx_gy = {target.structure: target.prescription_gy for target in targets}
    if not rx_gy:
        return
    ceiling = HIGHEST_OF_RX * max(rx_gy.values())
    most = f"{HIGHEST_OF_RX:.0%} of the highest prescription is {ceiling:g} Gy"
    for organ in organs:
        if organ.objective_dose_range_gy[1] > ceiling * (1 + 1e-9):
            yield f"{organ.structure}: objective_dose_range_gy ends at {organ.objective_dose_range_gy[1]:g}, but {most}"
    for criterion in criteria:
        metric = parse_metric(criterion.metric)
        name, limit, own = f"criterion {criterion.name!r}", criterion.limit, rx_gy.get(criterion.structure)
        if metric.kind == "VGy" and metric.number > ceiling:
            yield f"{name}: {most}: no plan reaches {metric.number:g}"
        if metric.unit != "Gy":
            continue
        if criterion.upper and limit > ceiling * (1 + 1e-9):
            yield f"{name}: at_most {limit:g} Gy, but {most}"
        if own is None:
            continue
        if criterion.upper and limit < LOWEST_ALLOWED * own:
            yield f"{name}: at_most {limit:g} Gy is below {LOWEST_ALLOWED:.0%} of the prescription, {own:g} Gy"
        if not criterion.upper and not LOWEST_ASKED * own <= limit <= HIGHEST_ASKED * own:
            yield (
                f"{name}: at_least {limit:g} Gy is {limit / own:.0%} of the prescription, {own:g} Gy; "
                f"want {LOWEST_ASKED * own:g} to {HIGHEST_ASKED * own:g}"
            )


def _is_dose(entry: Mapping[str, Any]) -> bool:
    """Whether the values of a slot, or of a criterion by its metric, are doses."""
    try:
        return "metric" not in entry or parse_metric(str(entry["metric"])).unit == "Gy"
    except ValueError:
        return False


def _converted(value: Any, rx_gy: float | None) -> Any:
    return [in_gy(each, rx_gy) for each in value] if isinstance(value, list | tuple) else in_gy(value, rx_gy)


def _sound(entries: Any, kind: type[Part]) -> Iterator[Part]:
    for entry in entries if isinstance(entries, list | tuple) else ():
        try:
            yield kind.model_validate(entry)
        except ValidationError:
            continue


def _lines(fault: Mapping[str, Any], content: Any) -> Iterator[str]:
    location = fault["loc"]
    if fault["type"] == "too_short" and len(location) == 1 and content.get(location[0]):
        return  # pydantic counts the valid parts; what is wrong with the others is said anyway
    key = ".".join(map(str, location)) or "top level"
    if fault["type"] == "extra_forbidden":
        yield f"{key}{_name_of(location, content)}: unknown key{_meant(str(location[-1]), _known_keys(location))}"
        return
    given = "" if isinstance(fault["input"], dict | list | tuple | Model) else f" (got {fault['input']!r})"
    for text in str(fault["msg"]).removeprefix("Value error, ").split("\n"):
        yield f"{key}{_name_of(location, content)}: {text}{given}"


def _name_of(location: Sequence[Any], content: Any) -> str:
    """Name of the criterion or structure that a fault lies in, as " (Rectum V31Gy)"."""
    try:
        entry = content[location[0]][location[1]]
        names = [str(entry[key]) for key in ("structure", "metric") if key in entry]
    except (IndexError, KeyError, TypeError):
        return ""
    return f" ({' '.join(names)})" if names else ""


def _known_keys(location: Sequence[Any]) -> Sequence[str]:
    part = _PARTS.get(str(location[0])) if len(location) > 1 else None
    return PROTOCOL_KEYS if part is None else tuple(part.model_fields)


def _meant(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
