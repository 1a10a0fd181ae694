"""The language model of a run: chosen, reached, and called from any of the run's processes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from radplan_agents.gpt_radplan import GPTRadPlanAgent
from radplan_agents.gpt_radplan.library import Library, LibraryError
from radplan_agents.llm import (
    ChatClient,
    Endpoint,
    Image,
    Ledger,
    Limits,
    LocalModel,
    ModelSettings,
    Price,
    Request,
    Session,
    Transcript,
    connect,
    open_client,
    parse_llm,
    user,
)
from radplan_agents.llm.local import local_name
from radplan_agents.llm.session import Vision
from radplan_agents.llm.wire import Adaptation
from radplan_agents.registry import load_agent
from radplan_experiments.cohort import UsageError
from radplan_experiments.options import LanguageModelOptions, ModelOptions
from radplan_experiments.recording.settings import ModelChoice
from radplan_experiments.wording import counted

EPISODE_BEGINS = "An episode begins."
"""What stands in a transcript before an episode's first call."""

_VISION: dict[str, Vision] = {"auto": "auto", "yes": True, "no": False}


@dataclass(frozen=True)
class LanguageModel:
    """A model that can be called, and where a run keeps what it says. It can be handed to worker processes.

    Parameters
    ----------
    endpoint : Endpoint
        Where it is.
    settings : ModelSettings
        How it is called.
    folder : Path
        The run's.
    replies : Path
        The file its replies are kept in.
    share_images : bool
        Whether transcripts keep pictures of the user's own patients.
    """

    endpoint: Endpoint
    settings: ModelSettings
    folder: Path
    replies: Path
    share_images: bool = False

    @property
    def client(self) -> ChatClient:
        """The client, one in a process: it remembers what the service refuses."""
        return _client(self)

    def session(self, seed: int, transcript: Path) -> Session:
        """A session for one episode.

        Parameters
        ----------
        seed : int
            The episode's. It is added to the model's, so that an agent's episodes on a case are not one and the same
            conversation, answered from the file of replies.
        transcript : Path
            Folder for what is said. An episode that was cut short is played again from its first call, so its
            conversation may stand there more than once.
        """
        settings = replace(self.settings, seed=(self.settings.seed or 0) + seed)
        written = Transcript(transcript, share_images=self.share_images)
        written.note(EPISODE_BEGINS)
        return Session(self.client, settings=settings, transcript=written)

    def sees_pictures(self) -> bool:
        """Whether the model takes pictures; where that is not known it is shown one.

        Raises
        ------
        ModelError
            If the service gives no reply at all.
        """
        if self.settings.vision != "auto":
            return self.settings.vision
        question = user("Which colour is this? Answer in one word.", Image(png=_grey_square(), name="a grey square"))
        limit = self.settings.max_reply_tokens
        request = Request(
            messages=(question,), temperature=self.settings.temperature, max_tokens=limit, shows_own_patient=False
        )
        return Adaptation.NO_IMAGES not in self.client.complete(request).adaptations


def talks(agent: str) -> bool:
    """Whether an agent needs a language model."""
    return bool(getattr(load_agent(agent), "needs_language_model", False))


def reads_library(agent: str) -> bool:
    """Whether an agent takes examples from a library of plans."""
    return issubclass(load_agent(agent), GPTRadPlanAgent)


@lru_cache(maxsize=1)
def library_of(path: str) -> Library:
    """The library in a folder.

    Raises
    ------
    UsageError
        If there is none.
    """
    try:
        return Library.load(path)
    except LibraryError as error:
        raise UsageError(f"--library: {error}") from error


def blind(agents: Iterable[str], model: LanguageModel) -> list[str]:
    """Agents that can do nothing with this model, as they judge by pictures and it sees none."""
    needing = [agent for agent in agents if getattr(load_agent(agent), "needs_pictures", False)]
    return needing if needing and not model.sees_pictures() else []


def choose(options: LanguageModelOptions, *, own_patients: bool) -> ModelChoice:
    """What of the model decides results, after checking what was asked for.

    Parameters
    ----------
    options : LanguageModelOptions
        Which model, and how it is called.
    own_patients : bool
        Whether pictures would show patients of the user's own. A service outside this machine then sees none, unless
        that is asked for.

    Raises
    ------
    NoModelError
        If no model is named, or there is no key for it; the message is one line that says how to give one.
    SettingsError
        If what is given cannot be used.
    UsageError
        If an option is out of its range.
    """
    model = options.model
    model_settings(model)
    calls = model.cache != "replay-only"
    found = parse_llm(options.llm, base_url=model.base_url, needs_key=calls)
    return ModelChoice(
        name=found.name if isinstance(found, Endpoint) else local_name(found),
        vision=_vision(options, found, own_patients),
        temperature=model.temperature,
        seed=model.seed,
        max_reply_tokens=model.max_reply_tokens,
    )


def _vision(options: LanguageModelOptions, found: Endpoint | LocalModel, own_patients: bool) -> str:
    """Whether the model sees pictures: as asked for, unless they are to stay on this machine."""
    asked = options.model.vision
    if isinstance(found, LocalModel) or found.on_this_machine or options.send_images_off_site:
        return asked
    if asked == "no" or not own_patients:
        return asked
    if asked == "yes":
        raise UsageError(
            f"--model.vision yes: {found.host} is outside this machine, and pictures of your own patients go there "
            "only with --send-images-off-site"
        )
    return "no"


def spending(folder: Path) -> str:
    """What a run has paid for so far, in words."""
    path = folder / "llm_calls.sqlite"
    if not path.exists():
        return "no calls made"
    spent = Ledger(path).spent()
    usd = "cost not known" if spent.unpriced else f"{spent.usd:.4g} US dollars"
    return f"{counted(spent.calls, 'call')} made, {counted(spent.tokens, 'token')}, {usd}"


@contextmanager
def reached(options: LanguageModelOptions, folder: Path, choice: ModelChoice) -> Iterator[LanguageModel]:
    """Reach the model for as long as it is needed; a file on this machine is served meanwhile.

    Parameters
    ----------
    options : LanguageModelOptions
        Which model, and how it is called.
    folder : Path
        The run's.
    choice : ModelChoice
        What `choose` made of the options.

    Raises
    ------
    SettingsError
        If it cannot be reached.
    UsageError
        If money is limited and the price not known.
    """
    model = options.model
    calls = model.cache != "replay-only"
    with connect(
        options.llm,
        base_url=model.base_url,
        calls=calls,
        threads=model.threads,
        context_tokens=model.context_tokens,
    ) as endpoint:
        found = LanguageModel(
            endpoint=endpoint,
            settings=replace(
                model_settings(model),
                vision=_VISION[choice.vision],
                send_images_off_site=options.send_images_off_site,
            ),
            folder=folder,
            replies=model.replies or folder / "replies.sqlite",
            share_images=options.share_images,
        )
        try:
            found.client  # noqa: B018  # says here, not in a worker, what is missing
        except ValueError as error:
            raise UsageError(f"--model.max-usd: {error}: --model.price") from error
        yield found


def model_settings(options: ModelOptions) -> ModelSettings:
    """How a model is called, from the options of a command line.

    Raises
    ------
    UsageError
        If an option is out of its range.
    """
    least = {"max_reply_tokens": 1, "attempts": 1, "threads": 1, "context_tokens": 1, "max_tokens": 1, "temperature": 0}
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and not value >= bound:
            raise UsageError(f"--model.{name.replace('_', '-')} must be at least {bound}, got {value}")
    for name in ("timeout_s", "max_usd"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UsageError(f"--model.{name.replace('_', '-')} must be above 0, got {value}")
    return ModelSettings(
        vision=_VISION[options.vision],
        temperature=options.temperature,
        seed=options.seed,
        max_reply_tokens=options.max_reply_tokens,
        timeout_s=options.timeout_s,
        attempts=options.attempts,
        cache=options.cache,
        price=_price(options.price),
        limits=Limits(tokens=options.max_tokens, usd=options.max_usd),
    )


def _price(values: tuple[float, ...]) -> Price | None:
    if not values:
        return None
    if len(values) not in (2, 3):
        raise UsageError(f"--model.price takes 2 or 3 prices for a million tokens, got {len(values)}")
    try:
        return Price(*values)
    except ValueError as error:
        raise UsageError(f"--model.price: {error}") from error


@lru_cache(maxsize=1)
def _client(model: LanguageModel) -> ChatClient:
    return open_client(model.endpoint, model.settings, run_folder=model.folder, cache_path=model.replies)


def _grey_square() -> bytes:
    """A picture of 64 × 64 pixels, more than the smallest that services take."""
    file = io.BytesIO()
    imsave(file, np.full((64, 64, 3), 128, np.uint8), format="png")
    return file.getvalue()
