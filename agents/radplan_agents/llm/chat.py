"""The interface between us and any language model: one request in, one reply out.

`ChatClient` is all that another model service has to implement. Everything else here is a client around a client, as
Gymnasium's wrappers are environments around an environment: `Adapting`, `Retrying`, `Metered`, `Cached`.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from radplan_agents.llm.messages import JSONSchema, Message, ToolCall

Format = Literal["json_schema", "json_object", "text"]


class ToolSpec(BaseModel):
    """A tool that the model may call: its name, what it does, and the JSON Schema of its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    schema_of_arguments: JSONSchema


class Request(BaseModel):
    """Everything that decides a reply, apart from the model itself.

    Parameters
    ----------
    messages : tuple of Message
        The conversation so far.
    json_schema : dict, optional
        JSON Schema of the object wanted; None asks for prose.
    tools : tuple of ToolSpec
        What the model may call instead of an answer. A client tells of them in words where the service takes none.
    format : {"json_schema", "json_object", "text"}
        How strictly the service is asked to keep to `json_schema`: enforce it, enforce any JSON object, or trust
        the instruction in words. A client may go looser where the service refuses, and says so in the reply.
    temperature : float, optional
        Sampling temperature; None leaves it to the service.
    seed : int, optional
        Sampling seed. It makes requests differ even where the service takes none.
    max_tokens : int, optional
        Length at which a reply is cut, in tokens.
    shows_own_patient : bool
        Whether its pictures show a patient of the user's own. They then leave this machine, and stand in a transcript,
        only if asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: tuple[Message, ...]
    json_schema: JSONSchema | None = None
    tools: tuple[ToolSpec, ...] = ()
    format: Format = "json_schema"
    temperature: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    shows_own_patient: bool = Field(default=True, exclude=True)

    @property
    def has_images(self) -> bool:
        """Whether any message has a picture."""
        return any(message.images for message in self.messages)

    def without_images(self) -> Request:
        """The same request with each picture's name in its place."""
        return self.model_copy(update={"messages": tuple(message.without_images() for message in self.messages)})


class Usage(BaseModel):
    """Tokens of one call, or of several; None where the service does not say.

    `cached_tokens` are those of `prompt_tokens` that the service had seen before, `reasoning_tokens` those of
    `completion_tokens` that the model thought with.
    """

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


class Reply(BaseModel):
    """What came of a request.

    Parameters
    ----------
    text : str
        What the model said; may be empty.
    tool_calls : tuple of ToolCall
        What it calls.
    refusal : str, optional
        Why it would not, where the service reports that apart.
    finish_reason : str
        "stop", "length", "content_filter" or whatever else the service calls it.
    model : str
        The model as the service names it, often more exactly than it was asked for.
    usage : Usage
        Tokens of this call.
    cost_usd : float, optional
        What it cost; None where the price is not known.
    adaptations : tuple of str
        What the service refused of the request and was changed, such as "temperature left out", and what was odd
        about the reply and read all the same, such as "answer read from reasoning_content".
    faults : tuple of str
        Names of what went wrong on the way and was overcome by asking again, such as "rate_limited".
    from_cache : bool
        Whether it was paid for by an earlier call.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    finish_reason: str = "stop"
    model: str = ""
    usage: Usage = Usage()
    cost_usd: float | None = None
    adaptations: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    from_cache: bool = Field(default=False, exclude=True)

    @property
    def said(self) -> str:
        """All that it says, calls included, as a reader sees it."""
        return self.refusal or "\n".join(part for part in (self.text, *map(str, self.tool_calls)) if part)


@runtime_checkable
class ChatClient(Protocol):
    """Something that answers requests: a service, a mock, or a client around another client."""

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request.

        Raises
        ------
        ModelError
            If there is none; see `radplan_agents.llm.errors`.
        """
