"""Where a model is: what `--llm` says, and the usual environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from radplan_agents.llm.errors import NoModelError, SettingsError

OPENAI = "https://api.openai.com/v1"

HOW_TO = (
    "give --llm MODEL with OPENAI_API_KEY set, --llm MODEL@BASE_URL for any OpenAI-compatible service, "
    "or --llm local:PATH.gguf"
)

_WITH_URL = re.compile(r"(?P<model>.+)@(?P<url>https?://.+)")


@dataclass(frozen=True)
class Endpoint:
    """A model that can be called.

    Parameters
    ----------
    model : str
        The model's name, as the service knows it.
    base_url : str
        The service's URL, usually ending in /v1.
    api_key : SecretStr, optional
        The service's key.
    name : str
        How cache and records call it, whatever port it answers on; by default MODEL@BASE_URL.
    free : bool
        Whether its tokens cost nothing, as those of a model on this machine.
    """

    model: str
    base_url: str
    api_key: SecretStr | None = None
    name: str = ""
    free: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.username or parts.password or parts.query:  # and say no more of it
            raise SettingsError("the base URL holds a user name, password or query; give the key as OPENAI_API_KEY")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                f"{self.base_url!r} is no URL of a service; it should look like http://localhost:8000/v1"
            )
        object.__setattr__(self, "name", self.name or f"{self.model}@{self.base_url.rstrip('/')}")

    @property
    def host(self) -> str:
        """The service's host, as in its URL."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def on_this_machine(self) -> bool:
        """Whether the service answers on this machine's loopback interface, where nobody else listens."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        inner = getattr(address, "ipv4_mapped", None) or address
        return bool(inner.is_loopback)


@dataclass(frozen=True)
class LocalModel:
    """A GGUF file to be served on this machine."""

    path: Path


def parse_llm(
    llm: str | None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    needs_key: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Endpoint | LocalModel:
    """Return the model that ``--llm`` means.

    Parameters
    ----------
    llm : str, optional
        "MODEL", "MODEL@BASE_URL" or "local:PATH.gguf"; OPENAI_MODEL if not given.
    base_url, api_key : str, optional
        OPENAI_BASE_URL and OPENAI_API_KEY if not given; OpenAI's own URL if neither is.
    needs_key : bool
        Whether OpenAI's own service is useless without a key.
    environment : mapping, optional
        Environment variables; those of this process if not given.

    Raises
    ------
    NoModelError
        If no model is named, or OpenAI's own service is meant and there is no key.
    SettingsError
        If a file is not there or the URL is none. Either message is one line that says what to do.
    """
    environment = os.environ if environment is None else environment
    llm = (llm or environment.get("OPENAI_MODEL") or "").strip()
    if not llm:
        raise NoModelError(f"no language model is named; {HOW_TO}")
    if llm.startswith("local:"):
        return _local(llm.removeprefix("local:"))
    model = llm
    if match := _WITH_URL.fullmatch(llm):
        model, base_url = match["model"], match["url"]
    url = base_url or environment.get("OPENAI_BASE_URL") or OPENAI
    key = (api_key or environment.get("OPENAI_API_KEY") or "").strip()  # files end with a line feed
    if url.rstrip("/") == OPENAI and not key and needs_key:
        raise NoModelError(f"no API key for {model!r} at OpenAI; {HOW_TO}")
    return Endpoint(model=model, base_url=url, api_key=SecretStr(key) if key else None)


def _local(text: str) -> LocalModel:
    path = Path(text).expanduser()
    if path.suffix.lower() != ".gguf" or not path.is_file():
        raise SettingsError(f"there is no GGUF file at {text!r}; {HOW_TO}")
    return LocalModel(path)
