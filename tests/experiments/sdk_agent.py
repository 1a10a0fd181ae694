"""A planning agent built on OpenAI's Agents SDK (`pip install openai-agents`), with a model that is made up.

cd tests/experiments && radplan compare --agents template sdk_agent:SDKAgent --cases 1 --budget 3
"""

from __future__ import annotations

import json
from typing import Any

from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from agents import Agent, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from radplan_env import PlanningParameters, RadPlanEnv

set_tracing_disabled(True)


class MadeUpModel(Model):
    """Calls the tool once in each run, with a larger weight every time."""

    def __init__(self) -> None:
        self.calls = 0

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        self.calls += 1
        answered = not isinstance(input, str) and any("output" in item for item in input)
        return ModelResponse(output=[_message() if answered else _call(self.calls)], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class SDKAgent:
    """Lets the SDK's runner choose the weight of the rectum, by a tool."""

    deterministic = True

    def __init__(self, env: RadPlanEnv, seed: int = 0) -> None:
        self._env = env
        self._model = MadeUpModel()
        self._weight = 1.0

    def reset(self, observation: Any, info: Any) -> None:
        self._weight = 1.0

    def act(self, observation: Any, info: Any) -> Any:
        planner = Agent("planner", instructions="Plan.", tools=[function_tool(self.set_weight)], model=self._model)
        Runner.run_sync(planner, json.dumps(info.get("plan", {}).get("score", 0.0)))
        parameters: PlanningParameters = self._env.system.protocol.start_parameters()
        return self._env.action_map.to_action(parameters.replace("Rectum", weight=self._weight))

    def set_weight(self, weight: float) -> str:
        """Set the weight of the rectum."""
        self._weight = weight
        return "done"

    def record(self) -> dict[str, Any]:
        return {"model_calls": self._model.calls}


def _call(number: int) -> ResponseFunctionToolCall:
    arguments = json.dumps({"weight": 2.0 * number})
    return ResponseFunctionToolCall(
        id=f"f{number}", call_id=f"c{number}", name="set_weight", arguments=arguments, type="function_call"
    )


def _message() -> ResponseOutputMessage:
    text = ResponseOutputText(text="The weight is set.", type="output_text", annotations=[])
    return ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")
