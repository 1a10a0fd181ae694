"""Language models for agents: any OpenAI-compatible service, or a GGUF file on this machine.

::

    with connect("local:model.gguf") as endpoint:
        client = open_client(endpoint, settings, run_folder=folder, cache_path=folder / "replies.sqlite")
        session = Session(client, settings=settings, transcript=Transcript(folder / "episode"))
        match session.ask("planner", [system("…"), user("…", Image(png=png, name="dose wash"))], Proposal):
            case Failed() as failed:
                ...  # the model's failure: its faults are named and counted, nothing stands in for a reply
            case proposal:
                ...

A `ModelError` is the service's failure, not the model's: the run ends, and repeating its command continues it.
"""

from radplan_agents.llm.cache import Cached, ReplyStore
from radplan_agents.llm.chat import ChatClient, Reply, Request, ToolSpec, Usage
from radplan_agents.llm.endpoint import Endpoint, LocalModel, parse_llm
from radplan_agents.llm.errors import (
    BudgetExceededError,
    CacheMissError,
    ModelError,
    NoModelError,
    ServiceError,
    SettingsError,
)
from radplan_agents.llm.extraction import FaultyReplyError, extract_json
from radplan_agents.llm.local import serve
from radplan_agents.llm.messages import (
    Image,
    Message,
    Text,
    ToolCall,
    assistant,
    each_picture_once,
    system,
    tool_result,
    user,
)
from radplan_agents.llm.metering import Ledger, Limits, Metered, Price
from radplan_agents.llm.mock import MockClient
from radplan_agents.llm.openai_client import OpenAIClient
from radplan_agents.llm.retry import Retrying
from radplan_agents.llm.schema import strict_schema
from radplan_agents.llm.session import ModelSettings, Session, connect, open_client
from radplan_agents.llm.structured import Called, Failed, Fault, ask, calls_judge, json_judge, text_judge
from radplan_agents.llm.transcript import Transcript, read_lines, read_transcript

__all__ = [
    "BudgetExceededError",
    "CacheMissError",
    "Cached",
    "Called",
    "ChatClient",
    "Endpoint",
    "Failed",
    "Fault",
    "FaultyReplyError",
    "Image",
    "Ledger",
    "Limits",
    "LocalModel",
    "Message",
    "Metered",
    "MockClient",
    "ModelError",
    "ModelSettings",
    "NoModelError",
    "OpenAIClient",
    "Price",
    "Reply",
    "ReplyStore",
    "Request",
    "Retrying",
    "ServiceError",
    "Session",
    "SettingsError",
    "Text",
    "ToolCall",
    "ToolSpec",
    "Transcript",
    "Usage",
    "ask",
    "assistant",
    "calls_judge",
    "connect",
    "each_picture_once",
    "extract_json",
    "json_judge",
    "open_client",
    "parse_llm",
    "read_lines",
    "read_transcript",
    "serve",
    "strict_schema",
    "system",
    "text_judge",
    "tool_result",
    "user",
]
