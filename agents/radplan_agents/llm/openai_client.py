"""Chat completions over HTTP, as OpenAI defined them and vLLM, llama.cpp, Ollama, LM Studio and gateways speak them."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from radplan_agents.llm import replies, wire
from radplan_agents.llm.chat import Reply, Request
from radplan_agents.llm.complaints import Complaint, complaint_in, service_error
from radplan_agents.llm.endpoint import Endpoint
from radplan_agents.llm.errors import ServiceError, SettingsError
from radplan_agents.llm.redaction import redact
from radplan_env import extras

MAX_RESPONSE_BYTES = 4_000_000
"""A longer response is not read to its end: no planning step needs it."""


class OpenAIClient:
    """Answers a request with one call, and remembers what the service refuses.

    A service that refuses a parameter, the response format or pictures is asked again without; see
    `wire.Adaptation`. From then on they are left out, and every reply says which were.

    Parameters
    ----------
    endpoint : Endpoint
        Where the model is and how it is called.
    must_see : bool
        Whether the refusal of pictures is an error rather than a reason to go on without.
    timeout_s : float
        Seconds after which a call is given up, from its start to its last byte.
    send_images_off_site : bool
        Whether pictures of the user's own patients may go to a service outside this machine.

    Raises
    ------
    SettingsError
        If the package openai is not installed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        must_see: bool = False,
        timeout_s: float = 600.0,
        send_images_off_site: bool = False,
    ) -> None:
        try:
            import httpx2
            import openai
        except ImportError:
            raise SettingsError(f"a language model needs the package openai: {extras.command('llm')}") from None
        self._model = endpoint.model
        self._key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        self._timeout_s = timeout_s
        self._must_see = must_see
        self._host = endpoint.host
        self._may_show_own_patients = endpoint.on_this_machine or send_images_off_site
        self._adaptations: set[wire.Adaptation] = set()
        self._client = openai.OpenAI(
            api_key=self._key or "none",  # services at home take any
            base_url=endpoint.base_url,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 30.0)),
                trust_env=not endpoint.on_this_machine,  # no proxy on the way home
                follow_redirects=not endpoint.on_this_machine,  # nor a way out
            ),
        )

    def complete(self, request: Request) -> Reply:
        """Return the reply to a request; see `ChatClient`.

        Raises
        ------
        SettingsError
            If its pictures are private and the service is outside this machine.
        """
        if request.has_images and request.shows_own_patient and not self._may_show_own_patients:
            raise SettingsError(
                f"pictures of your own patient would go to {self._host}, outside this machine: allow it with "
                "send_images_off_site=True (--send-images-off-site), or plan by numbers with vision=False"
            )
        while True:
            body, applied = wire.from_request(request, self._model, self._adaptations)
            try:
                reply = self._call(body)
            except ServiceError as error:
                adaptation = wire.adaptation_to(error, body)
                if adaptation is wire.Adaptation.NO_IMAGES and self._must_see:
                    error.transient = False  # though llama.cpp calls it a 500
                    raise
                if adaptation is None:
                    raise
                self._adaptations.add(adaptation)  # each takes something away, so this ends
            else:
                return reply.model_copy(update={"adaptations": (*applied, *reply.adaptations)})

    def _call(self, body: dict[str, Any]) -> Reply:
        """Make one HTTP call; the key is taken out of whatever comes back."""
        import httpx2
        import openai

        # A failure is raised outside the except clauses: the library's exception, which may quote the key, is then
        # not in its context.
        response_body = b""
        try:
            response_body = self._post(body)
            return replies.to_reply(redact(json.loads(response_body), self._key))
        except openai.APIStatusError as error:
            complaint = complaint_in(redact(error.body, self._key)) or Complaint(redact(error.message, self._key))
            if (reply := replies.reply_to(complaint)) is not None:
                return reply
            wait_s = _retry_after_s(error.response.headers)
            failure = service_error(complaint, error.status_code, retry_after_s=wait_s)
        except (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError):
            failure = ServiceError(f"no reply within {self._timeout_s:g} s", fault="timeout", transient=True)
        except (openai.APIConnectionError, httpx2.RequestError) as error:
            text = f"cannot be reached or hung up ({type(error.__cause__ or error).__name__})"
            failure = ServiceError(text, fault="connection", transient=True)
        except _OversizedError:
            text = f"the response is longer than {MAX_RESPONSE_BYTES} bytes"
            failure = ServiceError(text, fault="oversized_response", transient=True)
        except (ValueError, RecursionError):  # not JSON, or not a chat completion
            text = f"the response is no chat completion{_excerpt(response_body, self._key)}"
            failure = ServiceError(text, fault="malformed_response", transient=True)
        raise failure

    def _post(self, body: dict[str, Any]) -> bytes:
        """The body of the response, read no further than it may be long or late."""
        deadline = time.monotonic() + self._timeout_s
        response_body = bytearray()
        completions = self._client.chat.completions.with_streaming_response
        with completions.create(**body) as response:
            for chunk in response.iter_bytes():
                response_body += chunk
                if len(response_body) > MAX_RESPONSE_BYTES:
                    raise _OversizedError
                if time.monotonic() > deadline:
                    raise TimeoutError
        return bytes(response_body)


class _OversizedError(Exception):
    """The response is longer than `MAX_RESPONSE_BYTES`."""


def _excerpt(response_body: bytes, key: str) -> str:
    """The first words of a response that is no JSON, such as a proxy's page, to say what it was.

    Of JSON, even of half of it, nothing is repeated: the key may stand there in escapes that hide it from `redact`.
    """
    text = response_body[:4000].decode(errors="replace").strip()
    if not text or text[0] in "{[":
        return ""
    words = " ".join(re.sub(r"<[^>]*>", " ", html.unescape(text)).replace("\\/", "/").split())
    return f": {redact(words, key)[:200]}" if words else ""


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by Retry-After, given as seconds or as a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # absent, unreadable, or a date without its zone
        return None
