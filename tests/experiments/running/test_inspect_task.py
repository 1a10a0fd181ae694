"""A suite as a task of inspect_ai, played by its mock model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from radplan_experiments.recording.run_folder import read_run_folder
from radplan_experiments.recording.settings import Settings

inspect_ai = pytest.importorskip("inspect_ai")


@pytest.mark.slow
def test_a_mock_model_plans_a_sample(tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a mock model tokens are counted by a tokenizer that is fetched from the network.
    monkeypatch.setattr("inspect_ai.model._model.count_text_tokens", len)
    from inspect_ai.model import ModelOutput, get_model

    from radplan_experiments.inspect_tasks import AGENT, task_of

    tiny = replace(tiny_settings, agents=(AGENT,), deterministic=(), seeds=1)
    wanted = [
        ("plan", {}),
        ("plan", {"weights": {"Moon": 5}}),
        ("slice_image", {"criterion": "SpinalCord D0.1cc"}),
        ("plan", {"weights": {"SpinalCord": 5}, "limits": []}),
    ]
    outputs = [ModelOutput.for_tool_call("mockllm/model", name, arguments) for name, arguments in wanted]
    outputs.append(ModelOutput.from_content("mockllm/model", "That is all."))
    model = get_model("mockllm/model", custom_outputs=outputs)
    (log,) = inspect_ai.eval(
        task_of(tiny, tmp_path / "records"), model=model, log_dir=str(tmp_path / "logs"), display="none"
    )
    assert log.status == "success", log.error
    (sample,) = log.samples
    told = [message for message in sample.messages if message.role == "tool"]
    assert [message.error is not None for message in told] == [False, True, False, False]
    assert any(part.type == "image" for part in told[2].content)
    prompt = "".join(message.text for message in sample.messages if message.role in ("system", "user"))
    assert tiny.cases[0] not in prompt
    folder = Path(sample.metadata["record"] if sample.metadata.get("record") else "")
    (record,) = read_run_folder(folder).records.values()
    assert len(record["steps"]) == 2 and record["agent"] == AGENT
    assert sample.scores["best_score"].value == pytest.approx(max(step["score"] for step in record["steps"]), abs=1e-6)
