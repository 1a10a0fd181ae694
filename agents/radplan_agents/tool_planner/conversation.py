"""What has been said in an episode, kept short enough for a model to read again with every call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from radplan_agents.llm import Image, Message, ToolCall, each_picture_once, tool_result, user

KEPT_PLANS = 2
"""What was looked at stands in full for the last so many plans."""

LEFT_OUT = "(left out, as newer plans have been made: call the tool again if you need it)"


@dataclass(frozen=True)
class _Turn:
    message: Message
    after: int
    """How many plans there were."""
    short: Message | None = None
    """What stands in its place once it is old; None keeps it."""


class Conversation:
    """Messages of an episode; what an old look showed is left out, as it is told anew when it is asked for.

    Parameters
    ----------
    *opening : Message
        What it begins with.
    """

    def __init__(self, *opening: Message) -> None:
        self._turns = [_Turn(message, 0) for message in opening]

    def add(self, message: Message, plans: int = 0) -> None:
        """Add a message that stays."""
        self._turns.append(_Turn(message, plans))

    def add_look(self, call: ToolCall, text: str, plans: int) -> None:
        """Add the answer to a look, which is left out when it is old."""
        self._turns.append(_Turn(tool_result(call, text), plans, tool_result(call, LEFT_OUT)))

    def add_pictures(self, pictures: Sequence[Image], plans: int) -> None:
        """Add pictures, which are left out when they are old; one that stands there already is named instead."""
        standing = [image for message in self.messages(plans) for image in message.images]
        self._turns.append(_Turn(user(*each_picture_once(pictures, standing)), plans, user(LEFT_OUT)))

    def messages(self, plans: int) -> tuple[Message, ...]:
        """Return the conversation as it is to be read when there are so many plans."""
        return tuple(
            turn.short if turn.short is not None and turn.after <= plans - KEPT_PLANS else turn.message
            for turn in self._turns
        )
