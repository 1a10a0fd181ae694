"""What language models see: each call of one step of GPT-RadPlan and of its small forms, and `tool-planner`'s console.

All patients are made up. The first steps are played with scripted replies, so that the step shown has a history.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from radplan_agents import make_agent, play
from radplan_agents.llm import Image, Message, MockClient, Reply, Request, Session, ToolCall, ToolSpec
from radplan_agents.tool_planner import ToolPlannerAgent
from radplan_env.case import Case
from radplan_env.env import RadPlanEnv
from radplan_env.sources import synthetic
from radplan_experiments.options import PromptOptions

CHARACTERS_PER_TOKEN = 2.5
"""Qwen2.5's tokenizer has 2.05 on the DVH expert's tables (numbers take a token a digit), 2.7 on the planner's prompts
and 3.0 on the evaluator's; others have more."""

EXPERTS = ("vision expert", "DVH expert", "evaluator", "planner")
"""Who is called in each step, in order."""

RENDERED = {
    "prostate": ("prostate", "gpt-radplan"),
    "head-and-neck": ("head-and-neck", "gpt-radplan"),
    "prostate-small": ("prostate", "gpt-radplan:small"),
}
"""Site and agent by the name of the file."""

HEADER = """# What the model of {agent} sees: {title}

Made by `python experiments/render_prompts.py`; do not edit. Step {step} of an episode of a made-up patient, after steps
with scripted replies (those that read "scripted"). Words and layout are the templates' in
`agents/radplan_agents/gpt_radplan/prompts/`.

Tokens are counted as characters / {ratio}, about what Qwen2.5's tokenizer makes of such prompts; pictures come on top,
in tokens that the service counts its own way.

| call | prompt tokens | pictures |
|---|---|---|
{rows}
"""


CONSOLE_HEADER = """# What the model sees: the planner's console

Made by `python experiments/render_prompts.py`; do not edit. What `tool-planner` tells its model about a made-up
prostate, the console's tools, and an exchange whose replies are scripted; a server of the Model Context Protocol
(`radplan mcp`) offers the same tools. [console.md](../console.md) says what they are for.

Tokens are counted as characters / {ratio}.

| part | tokens |
|---|---|
{rows}
"""

EXCHANGE = tuple(
    (text, ToolCall(id=f"call_{number}", name=name, arguments=json.dumps(arguments)))
    for number, (text, name, arguments) in enumerate(
        (
            ("(scripted) The template first.", "plan", {}),
            ("(scripted) What costs most, and where?", "worst_points", {"criterion": "Rectum D0.03cc"}),
            (
                "(scripted) A hot spot in the overlap: a limit, and a little more weight on the rectum.",
                "plan",
                {
                    "weights": {"Rectum": 8},
                    "limits": [{"structure": "Rectum", "metric": "D0.03cc", "at_most": 71.0}],
                },
            ),
            ("(scripted) What does the limit cost?", "limits", {}),
            ("(scripted) That will do.", "finish", {"plan": "best"}),
        ),
        1,
    )
)


def run(args: PromptOptions) -> int:
    """Write the prompts of every site and agent; return the exit code 0."""
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in tqdm(RENDERED, desc="prompts", unit="file"):
        (args.folder / f"{name}.md").write_text(rendered(name, args.step), encoding="utf-8")
    (args.folder / "console.md").write_text(rendered_console(), encoding="utf-8")
    return 0


def rendered_console() -> str:
    """Return what `tool-planner` tells its model, and an exchange with scripted replies, as Markdown."""
    case = synthetic.load("train", 1, voxel_size_mm=5)[0]
    env = RadPlanEnv(cases=[case], budget=10, progress=False)
    client = MockClient([Reply(text=text, tool_calls=(call,)) for text, call in EXCHANGE])
    agent = ToolPlannerAgent(env, session=Session(client))
    for _ in play(agent, env):
        pass
    opening, last = client.requests[0].messages, client.requests[-1].messages
    told = "\n\n".join(part for message in opening for part in _message(message))
    said = "\n\n".join(part for message in last[len(opening) :] for part in _message(message))
    tools = "\n".join(map(_tool, client.requests[0].tools))
    schemas = sum(len(tool.model_dump_json()) for tool in client.requests[0].tools)
    sizes = {"system and task": sum(len(message.text) for message in opening), "tools": schemas}
    rows = "\n".join(f"| {what} | {round(size / CHARACTERS_PER_TOKEN)} |" for what, size in sizes.items())
    head = CONSOLE_HEADER.format(ratio=CHARACTERS_PER_TOKEN, rows=rows)
    return f"{head}\n## Before the first call\n\n{told}\n\n## Tools\n\n{tools}\n## An exchange\n\n{said}\n"


def _tool(tool: ToolSpec) -> str:
    schema = json.dumps(tool.schema_of_arguments, indent=1, ensure_ascii=False)
    form = f"<details><summary>JSON Schema of the arguments</summary>\n\n```json\n{schema}\n```\n\n</details>"
    return f"### {tool.name}\n\n```text\n{tool.description}\n```\n\n{form}\n"


def rendered(name: str, step: int) -> str:
    """Return the calls of one step, of one of `RENDERED`, as Markdown."""
    site, agent_name = RENDERED[name]
    case = neck() if site == "head-and-neck" else synthetic.load("train", 1, voxel_size_mm=5)[0]
    env = RadPlanEnv(protocol=site, cases=[case], budget=10, progress=False)
    client = MockClient([_reply] * len(EXPERTS) * step)
    agent = make_agent(agent_name, env, session=Session(client))
    observation, info = env.reset(seed=0)
    agent.reset(observation, info)
    for _ in range(step):
        action = agent.act(observation, info)
        assert action is not None
        observation, _, terminated, _, info = env.step(action)
        assert not terminated, "the patient is too easy: there is nothing left to plan"
    agent.act(observation, info)
    calls = dict(zip(EXPERTS, client.requests[-len(EXPERTS) :], strict=True))
    rows = [f"| {who} | {_tokens(call)} | {_pictures(call)} |" for who, call in calls.items()]
    rows.append(f"| all | {sum(map(_tokens, calls.values()))} | {sum(map(_pictures, calls.values()))} |")
    header = HEADER.format(
        agent=f"`{agent_name}`", title=env.protocol.title, step=step, ratio=CHARACTERS_PER_TOKEN, rows="\n".join(rows)
    )
    return header + "".join(f"\n## {who}\n\n{_call(call)}" for who, call in calls.items())


def neck() -> Case:
    """A neck made of balls in water: nobody's anatomy. The left parotid overlaps the target and cannot be spared."""
    spacing_mm, shape = 5.0, (41, 35, 35)
    z, y, x = np.meshgrid(*(spacing_mm * (np.arange(n) - (n - 1) / 2) for n in shape), indexing="ij")
    balls = {
        "PTV_7000": (0, -15, 20, 18),
        "PTV_5600": (0, -10, -28, 16),
        "SpinalCord": (0, 25, 0, 9),
        "Parotid_L": (10, -5, 42, 16),
        "Parotid_R": (25, 0, -45, 14),
        "Larynx": (-40, -20, 0, 14),
    }
    body = y**2 + x**2 <= 75**2
    masks = {
        name: (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2 for name, (cz, cy, cx, radius) in balls.items()
    }
    return Case.from_arrays(
        id="made-up neck",
        ct_hu=np.where(body, 0.0, -1000.0),
        structures={"Body": body, **masks},
        voxel_size_mm=(spacing_mm,) * 3,
        source="phantom",
        synthetic=True,
    )


def _reply(request: Request) -> str:
    """A reply of the form asked for."""
    if request.json_schema is None:
        return "(scripted) The high dose follows the target; the organ beside it has a hot spot."
    if request.json_schema["title"] == "DVHReport":
        return json.dumps({"tight": [], "room": [], "remark": "(scripted) The organ beside the target has a hot spot."})
    if "settings" in request.json_schema["properties"]:
        steps = request.json_schema["properties"]["base"]["maximum"]
        limit = {"structure": "OutsideTargets", "metric": "D0.03cc", "at_most": 75.0 - steps / 2}
        return json.dumps(
            {
                "reasoning": "(scripted) Body has room; the hot spot outside is held by a limit.",
                "action": "plan",
                "base": steps,
                "settings": [{"structure": "Body", "weight": 100.0 * 1.5**steps}],
                "limits": [limit],
            }
        )
    names = request.json_schema["$defs"]
    if request.json_schema["title"] == "Feedback":
        criteria = names["Shortcoming"]["properties"]["criterion"]["enum"]
        failing = [{"criterion": criteria[0], "remedy": "raise the weight of Body"}]
        return json.dumps({"acceptable": [], "failing": failing, "advice": "(scripted) Go on."})
    return json.dumps(
        {
            "reasoning": "(scripted) Body has room.",
            "action": "change",
            "start_from": "last",
            "changes": [{"lever": "raise the weight of Body", "amount": 1.5, "reason": "(scripted)"}],
            "predictions": [
                {"criterion": names["Prediction"]["properties"]["criterion"]["enum"][0], "effect": "better"}
            ],
        }
    )


def _call(request: Request) -> str:
    """One call as Markdown."""
    parts = [part for message in request.messages for part in _message(message)]
    if request.json_schema is not None:
        schema = json.dumps(request.json_schema, indent=1, ensure_ascii=False)
        parts.append(f"<details><summary>JSON Schema of the reply</summary>\n\n```json\n{schema}\n```\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _message(message: Message) -> Iterator[str]:
    yield f"**{message.role}**"
    for part in message.parts:
        yield f"*[picture: {part.name}]*" if isinstance(part, Image) else f"```text\n{part.text}\n```"
    for call in message.calls:
        yield f"```text\n{call}\n```"


def _tokens(request: Request) -> int:
    return round(sum(len(message.text) for message in request.messages) / CHARACTERS_PER_TOKEN)


def _pictures(request: Request) -> int:
    return sum(len(message.images) for message in request.messages)
