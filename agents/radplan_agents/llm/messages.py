"""What is said to a model and by it: messages of text and pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _png(data: bytes) -> bytes:
    if not data.startswith(_PNG_SIGNATURE):
        raise ValueError("a picture must be a PNG file's bytes")
    return data


class Text(BaseModel):
    """A piece of a message in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["text"] = "text"
    text: str


class Image(BaseModel):
    """A picture in a message.

    Parameters
    ----------
    png : bytes
        The picture as a PNG file.
    name : str
        What it shows, for the transcript and for models that do not see pictures.
    detail : {"auto", "low", "high"}
        How finely the model is asked to look, where it offers the choice.

    Raises
    ------
    pydantic.ValidationError
        If `png` is no PNG file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    type: Literal["image"] = "image"
    png: Annotated[bytes, AfterValidator(_png)]
    name: str
    detail: Literal["auto", "low", "high"] = "auto"

    def in_words(self) -> Text:
        """What stands in its place where the model sees no pictures."""
        return Text(text=f"[picture left out, as this model sees none: {self.name}]")


class ToolCall(BaseModel):
    """A tool that the model wants to use.

    Parameters
    ----------
    id : str
        By which its result refers to it.
    name : str
        The tool's name, as the model wrote it.
    arguments : str
        JSON, or what the model took for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    arguments: str

    def __str__(self) -> str:
        return f"→ {self.name}({self.arguments})"


class Message(BaseModel):
    """One turn of a conversation: who speaks, and the parts of what is said, in order.

    Parameters
    ----------
    role : {"system", "user", "assistant", "tool"}
        "tool" is the result of a call.
    parts : tuple of Text or Image
    calls : tuple of ToolCall
        What the assistant calls.
    call_id : str
        Whose result it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    parts: tuple[Text | Image, ...]
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""

    @property
    def text(self) -> str:
        """Its words, without the pictures."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        """Its pictures."""
        return tuple(part for part in self.parts if isinstance(part, Image))

    def without_images(self) -> Message:
        """The same message with each picture's name in its place."""
        parts = tuple(part.in_words() if isinstance(part, Image) else part for part in self.parts)
        return self.model_copy(update={"parts": parts})


def system(text: str) -> Message:
    """The instructions a conversation begins with."""
    return Message(role="system", parts=(Text(text=text),))


def user(*parts: str | Text | Image) -> Message:
    """What is said to the model: any sequence of texts and pictures."""
    return Message(role="user", parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def assistant(text: str, calls: tuple[ToolCall, ...] = ()) -> Message:
    """What the model said and called, or is shown as having said in an example."""
    return Message(role="assistant", parts=(Text(text=text),) if text or not calls else (), calls=calls)


def tool_result(call: ToolCall, text: str) -> Message:
    """What came of a call."""
    return Message(role="tool", parts=(Text(text=text),), call_id=call.id)


def each_picture_once(parts: Iterable[Text | Image], before: Iterable[Image] = ()) -> tuple[Text | Image, ...]:
    """Return parts of a message with words in the place of pictures that were shown before.

    Parameters
    ----------
    parts : iterable of Text or Image
    before : iterable of Image
        Pictures that stand in the conversation already.
    """
    names = {image.png: image.name for image in before}
    kept: list[Text | Image] = []
    for part in parts:
        if isinstance(part, Image) and part.png in names:
            part = Text(text=f"(the same picture as before: {names[part.png]})")
        elif isinstance(part, Image):
            names[part.png] = part.name
        kept.append(part)
    return tuple(kept)


JSONSchema = dict[str, Any]
