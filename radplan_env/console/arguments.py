"""Arguments of the console's tools: their types, and one place where signatures become JSON Schemas."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

JSONSchema = dict[str, Any]

MOST_SAID = 20
"""Arguments of another form that an answer names one by one."""

PlanId = Annotated[
    int | Literal["last", "best"],
    Field(description='Number of a plan of this episode, from 1, or "last" or "best".'),
]
Base = Annotated[
    int | Literal["start", "last", "best"],
    Field(
        description='Plan whose parameters count where nothing else is given: its number, "last", "best", or "start", '
        "which stands for the template's parameters. Before the first plan all of them are the template's."
    ),
]
Weights = Annotated[
    dict[str, float] | None,
    Field(description="Weights to set, by structure. Only their ratios matter; a structure left out keeps the base's."),
]
ObjectiveDoses = Annotated[
    dict[str, float] | None,
    Field(description="Objective doses to set, in Gy by structure: aimed at in targets, penalised above in organs."),
]
Smoothness = Annotated[
    float | None, Field(description="Weight of the fluence's roughness, where the protocol has a range for it.")
]
GantryAngles = Annotated[
    list[float] | None,
    Field(
        description="Gantry angles of the beams in degrees, as many as `task` lists. An episode may plan with two sets "
        "of its own."
    ),
]
Criterion = Annotated[
    str, Field(description='Structure and metric, such as "Rectum V31Gy", as `criteria` and `terms` name them.')
]


class ToolError(Exception):
    """A call that cannot be carried out; it has cost no solve.

    Parameters
    ----------
    fault : str
        Its name in the record: "unknown_tool", "wrong_arguments", "unknown_structure", "unknown_plan",
        "excluding_limits", "no_solves_left" or "episode_over".
    message : str
        What is wrong and what would do, for the planner.
    """

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class Faults(list[ToolError]):
    """What is wrong with one call, gathered so that its answer tells all of it."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a ToolError, or a ValueError as one of wrong arguments, and go on."""
        try:
            yield
        except ToolError as error:
            self.append(error)
        except ValueError as error:
            self.append(ToolError("wrong_arguments", str(error)))

    def check(self) -> None:
        """Raise what there is as one ToolError."""
        if self:
            raise self.one()

    def one(self) -> ToolError:
        """Return what there is, at least one, as one ToolError, which goes by the fault of the first."""
        return ToolError(self[0].fault, "; ".join(dict.fromkeys(map(str, self))))


class Arguments(BaseModel):
    """Arguments of a call: none beside those that there are, and no infinite numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


A = TypeVar("A", bound=Arguments)


class LimitArgument(Arguments):
    """A metric that the plan must hold while the objectives are minimised."""

    structure: str = Field(description='A structure of the task, or "OutsideTargets".')
    metric: str = Field(description='Such as "D0.03cc", "D95%", "V31Gy", "mean", "max" or "min".')
    at_most: float | None = Field(None, description="Upper limit in the metric's unit (Gy or %); give one of the two.")
    at_least: float | None = Field(None, description="Lower limit in the metric's unit.")


Limits = Annotated[
    list[LimitArgument] | None,
    Field(description="Limits, all of them: they replace the base's. [] lifts every limit."),
]


class Change(Arguments):
    """One plan to try; what is left out is the base's."""

    weights: Weights = None
    objective_doses: ObjectiveDoses = None
    limits: Limits = None
    smoothness: Smoothness = None
    gantry_angles_deg: GantryAngles = None
    base: Base = "last"


def arguments_of(function: Callable[..., Any]) -> type[Arguments]:
    """Return the model of a tool's arguments: those of its signature after the first, which is the desk."""
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    fields: dict[str, Any] = {
        each.name: (hints[each.name], ... if each.default is each.empty else each.default) for each in parameters
    }
    return create_model(function.__name__, __base__=Arguments, **fields)


def schema_of(model: type[Arguments]) -> JSONSchema:
    """Return the JSON Schema of a tool's arguments: short, as it is read with every request, and without references."""
    whole = model.model_json_schema()
    schema = _shortened(whole, whole.get("$defs", {}))
    assert isinstance(schema, dict)
    return {"type": "object", "properties": {}, **_without(schema, "description")}


def checked(model: type[Arguments], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name.

    Raises
    ------
    ToolError
        "wrong_arguments", naming every argument that is unknown, missing or of another form.
    """
    try:
        read = model.model_validate(dict(given))
    except (ValidationError, RecursionError) as error:
        raise ToolError("wrong_arguments", _said(error, model)) from None
    return {name: getattr(read, name) for name in type(read).model_fields}


def well_formed(model: type[A], given: Mapping[str, Any]) -> A:
    """Return those arguments of a call that have the right form; the others are as if they had been left out."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        wrong = {each["loc"][0] for each in error.errors() if each["loc"]}
        return model.model_validate({name: value for name, value in given.items() if name not in wrong})
    except RecursionError:
        return model()


def _said(error: ValidationError | RecursionError, model: type[Arguments]) -> str:
    if isinstance(error, RecursionError):
        return "the arguments are nested too deeply"
    known = ", ".join(model.model_fields) or "none"
    found = error.errors(include_url=False, include_context=False)
    said = [f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in found[:MOST_SAID]]
    if (more := len(found) - MOST_SAID) > 0:
        said.append(f"and {more} more")
    return f"{'; '.join(said)}. Arguments of {model.__name__}: {known}"


def _shortened(node: Any, known: Mapping[str, Any]) -> Any:
    """Leave out of a schema what tells nothing: titles, and that what may be left out may be null.

    What `known` holds takes the place of references, which not every service follows.
    """
    if isinstance(node, list):
        return [_shortened(item, known) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _shortened({**known[node["$ref"].rpartition("/")[2]], **_without(node, "$ref")}, known)
    short = {
        key: {name: _shortened(item, known) for name, item in value.items()} if key == "properties" else value
        for key, value in _without(node, "title", "$defs").items()
        if not (key == "default" and value is None)
    }
    short = {key: value if key == "properties" else _shortened(value, known) for key, value in short.items()}
    options = [option for option in short.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return {**options[0], **_without(short, "anyOf")}
    return {**short, "anyOf": options} if options else short


def _without(node: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}
