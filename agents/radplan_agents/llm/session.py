"""What an agent talks to: one model, asked for prose or for objects, with everything recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from radplan_agents.llm.cache import Cached, CacheMode, ReplyStore
from radplan_agents.llm.chat import ChatClient, Reply, Request, ToolSpec
from radplan_agents.llm.endpoint import Endpoint, parse_llm
from radplan_agents.llm.local import local_name, serve
from radplan_agents.llm.messages import JSONSchema, Message
from radplan_agents.llm.metering import FREE, Ledger, Limits, Metered, Price
from radplan_agents.llm.openai_client import OpenAIClient
from radplan_agents.llm.retry import Retrying
from radplan_agents.llm.schema import strict_schema
from radplan_agents.llm.structured import Called, Failed, Fault, ask, calls_judge, json_judge, text_judge
from radplan_agents.llm.tally import Tally
from radplan_agents.llm.transcript import Transcribed, Transcript

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


Vision = Literal["auto"] | bool


@dataclass(frozen=True)
class ModelSettings:
    """How a model is called.

    Parameters
    ----------
    vision : {"auto", True, False}
        Whether the model sees pictures; "auto" shows them until the service refuses.
    temperature : float, optional
        Sampling temperature; None leaves it to the service.
    seed : int, optional
        Sampling seed, where the service takes one.
    max_reply_tokens : int, optional
        Length at which a reply is cut; a reasoning model's thoughts count. None leaves it to the service.
    timeout_s : float
        Seconds until a call is given up.
    attempts : int
        How often a call is tried where the service is busy, down or slow.
    cache : {"read-write", "replay-only", "off"}
        Whether replies are kept and used again; "replay-only" calls no model.
    send_images_off_site : bool
        Whether pictures of the user's own patients may go to a service outside this machine.
    price : Price, optional
        The model's price, for costs in the record.
    limits : Limits
        What the run may spend.
    """

    vision: Vision = "auto"
    temperature: float | None = 0.0
    seed: int | None = None
    max_reply_tokens: int | None = 4096
    timeout_s: float = 600.0
    attempts: int = 6
    cache: CacheMode = "read-write"
    send_images_off_site: bool = False
    price: Price | None = None
    limits: Limits = field(default_factory=Limits)


@contextmanager
def connect(
    llm: str | None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    calls: bool = True,
    threads: int = 1,
    context_tokens: int = 8192,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Endpoint]:
    """Find the model that ``--llm`` means, and serve it meanwhile if it is a file.

    Parameters
    ----------
    llm, base_url, api_key, environment
        See `parse_llm`.
    calls : bool
        Whether the model will be called. Where only the cache answers, no key is needed and no file is served.
    threads, context_tokens : int
        Of a model on this machine; see `serve`.

    Yields
    ------
    Endpoint
        It can be handed to worker processes; they must end before the context does.

    Raises
    ------
    SettingsError
        If there is no such model; the message says in one line what to do.
    """
    environment = os.environ if environment is None else environment
    found = parse_llm(llm, base_url=base_url, api_key=api_key, needs_key=calls, environment=environment)
    if isinstance(found, Endpoint):
        yield found
    elif calls:
        with serve(found, threads=threads, context_tokens=context_tokens) as endpoint:
            yield endpoint
    else:
        yield Endpoint(model=found.path.stem, base_url="http://127.0.0.1", name=local_name(found), free=True)


def open_client(endpoint: Endpoint, settings: ModelSettings, *, run_folder: Path, cache_path: Path) -> ChatClient:
    """Return a client for a model with patience, limits and a memory of its replies.

    Parameters
    ----------
    endpoint : Endpoint
        The model.
    settings : ModelSettings
        How it is called.
    run_folder : Path
        Where the run's spending is kept, as llm_calls.sqlite.
    cache_path : Path
        The SQLite file with the replies; runs may share one.
    """
    if settings.cache == "replay-only":
        return Cached(None, ReplyStore(cache_path), endpoint_name=endpoint.name)
    service = OpenAIClient(
        endpoint,
        must_see=settings.vision is True,
        timeout_s=settings.timeout_s,
        send_images_off_site=settings.send_images_off_site,
    )
    client: ChatClient = Metered(
        Retrying(service, attempts=settings.attempts),
        Ledger(run_folder / "llm_calls.sqlite"),
        price=FREE if endpoint.free else settings.price,
        limits=settings.limits,
    )
    if settings.cache == "read-write":
        client = Cached(client, ReplyStore(cache_path), endpoint_name=endpoint.name)
    return client


class Session:
    """An agent's conversation with its model.

    Parameters
    ----------
    client : ChatClient
        Who answers: what `open_client` returns, a `MockClient`, or a client of your own.
    settings : ModelSettings
        Temperature, seed, length and vision of every request; the rest concerns `open_client`.
    transcript : Transcript, optional
        Where every call is written down.
    """

    def __init__(
        self, client: ChatClient, *, settings: ModelSettings | None = None, transcript: Transcript | None = None
    ) -> None:
        self._tally = Tally(client)
        self._settings = settings or ModelSettings()
        self._transcript = transcript
        self.shows_own_patient = True
        """Whether pictures show a patient of the user's own; who knows the case to be public says so."""

    @property
    def sees_pictures(self) -> bool:
        """Whether the model is shown pictures: not where that is switched off, nor once the service refused some."""
        return self._settings.vision is not False and not self._tally.refused_pictures

    def say(self, name: str, messages: Sequence[Message]) -> str | Failed:
        """Ask for prose.

        Parameters
        ----------
        name : str
            Who asks, such as "vision expert", for the transcript.
        messages : sequence of Message
            The conversation; the last message is the user's.

        Raises
        ------
        ModelError
            If the service gives no reply at all: the run ends and can go on later.
        """
        return self._asked(name, self._request(messages), text_judge)

    def ask(
        self, name: str, messages: Sequence[Message], model: type[M], *, context: Mapping[str, Any] | None = None
    ) -> M | Failed:
        """Ask for an object.

        Parameters
        ----------
        name, messages
            See `say`.
        model : type
            The Pydantic model of what is wanted. Forbid extra fields and infinite numbers in it.
        context : mapping, optional
            What its validators need to know, such as the structures there are.

        Raises
        ------
        ModelError
            If the service gives no reply at all: the run ends and can go on later.
        """
        return self._asked(name, self._request(messages, strict_schema(model)), json_judge(model, context))

    def call(self, name: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Called | Failed:
        """Ask for a call of tools.

        Parameters
        ----------
        name, messages
            See `say`; results of earlier calls are messages too.
        tools : sequence of ToolSpec
            What may be called. Whether a call names one of them and its arguments fit is for the caller to check.

        Raises
        ------
        ModelError
            If the service gives no reply at all: the run ends and can go on later.
        """
        request = self._request(messages).model_copy(update={"tools": tuple(tools)})
        return self._asked(name, request, calls_judge)

    def step(self, number: int, remark: str) -> None:
        """Say in the transcript, and nowhere else, which step of the agent's work all calls from here on belong to.

        Parameters
        ----------
        number : int
            Of the step.
        remark : str
            What a reader should know of it.
        """
        if self._transcript is not None:
            self._transcript.note(remark, step=number)

    def record(self) -> dict[str, Any]:
        """Return what the session used and met with, as plain JSON data.

        "models" as the service names them; "calls" and "calls_from_cache"; "calls_with_pictures" and of these
        "calls_with_pictures_seen"; "failed_questions", which got no usable reply; "faults" and "adaptations" with
        their counts; "usage" in tokens, and "cost_usd", null where they are not known; "vision" as set.
        """
        return {"vision": self._settings.vision, **self._tally.record()}

    def _request(self, messages: Sequence[Message], schema: JSONSchema | None = None) -> Request:
        request = Request(
            messages=tuple(messages),
            json_schema=schema,
            temperature=self._settings.temperature,
            seed=self._settings.seed,
            max_tokens=self._settings.max_reply_tokens,
            shows_own_patient=self.shows_own_patient,
        )
        return request.without_images() if self._settings.vision is False else request

    def _asked(self, name: str, request: Request, judge: Callable[[Reply], T]) -> T | Failed:
        client: ChatClient = self._tally
        if self._transcript is not None:
            client = Transcribed(client, self._transcript, name=name)
        answer = ask(client, request, judge, note=self._note)
        if isinstance(answer, Failed):
            self._tally.failed()
        return answer

    def _note(self, fault: Fault) -> None:
        self._tally.fault(fault.name)
        if self._transcript is not None:
            self._transcript.note(f"{fault.name}: {fault.detail}")
