"""The console as TRL's trainer takes it: tools by introspection, a reward that tells plans apart."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from radplan_env import Case, RadPlanEnv
from radplan_env.console import TOOLS, ToolError
from radplan_env.influence import Fidelity
from radplan_env.integrations.trl import NO_PLAN, PlanningEnvironment

COARSE = Fidelity("coarse", dose_grid_mm=10.0, bixel_mm=15.0)


@pytest.fixture(scope="module")
def env(box_case: Case) -> Iterator[RadPlanEnv]:
    env = RadPlanEnv(cases=[box_case], budget=1, fidelity=COARSE, gantry_angles_deg=(0, 120, 240), progress=False)
    yield env
    env.close()


def test_every_tool_has_a_signature_and_a_docstring_that_names_its_arguments() -> None:
    members = inspect.getmembers(PlanningEnvironment, predicate=inspect.isfunction)
    tools = {name: member for name, member in members if not name.startswith("_")}
    assert {*tools} - {"reset", "get_reward"} == {*TOOLS} - {"task", "slice_image"}
    for name in {*tools} & {*TOOLS}:
        parameters = list(inspect.signature(tools[name]).parameters)[1:]
        assert parameters == list(TOOLS[name].arguments.model_fields)
        assert {*get_type_hints(tools[name])} == {*parameters, "return"}
        for parameter in parameters:
            assert f"\n    {parameter}: " in (tools[name].__doc__ or "")


@pytest.mark.slow
def test_eight_naive_proposals_never_tie(env: RadPlanEnv, box_case: Case) -> None:
    rng, rewards = np.random.default_rng(0), []
    for _ in range(8):
        rollout = PlanningEnvironment(env.sibling())
        told = json.loads(rollout.reset(prompt="Plan.", case=box_case.id if rewards else None, seed=0))
        assert rollout.get_reward() == NO_PLAN
        weights = {
            name: float(low * (high / low) ** rng.uniform())
            for name, each in told["structures"].items()
            for low, high in [each["weight_range"]]
        }
        answer = json.loads(rollout.plan(weights=weights))  # type: ignore[attr-defined]
        assert answer["solves_left"] == 0
        rewards.append(rollout.get_reward())
    assert len({round(reward, 6) for reward in rewards}) == 8 and min(rewards) > NO_PLAN


def test_what_cannot_be_done_is_raised_for_the_model_to_read(env: RadPlanEnv) -> None:
    rollout = PlanningEnvironment(env.sibling())
    rollout.reset(seed=0)
    with pytest.raises(ToolError, match="Moon"):
        rollout.plan(weights={"Moon": 1.0})  # type: ignore[attr-defined]


@pytest.mark.slow
def test_grpo_takes_five_steps(env: RadPlanEnv, tmp_path: Path) -> None:
    """A model of random weights that speaks in whole tool calls: every rollout plans, and the steps learn from it."""
    trl = pytest.importorskip("trl", reason="needs trl: pip install -e '.[trl]'")
    datasets = pytest.importorskip("datasets")
    torch = pytest.importorskip("torch")
    calls = [
        json.dumps({"name": "plan", "arguments": {"weights": {"Rectum": weight}}}) for weight in (1, 3, 10, 30, 100)
    ]
    words = [f"<tool_call>\n{call}\n</tool_call>" for call in calls]
    tokenizer = tokenizer_that_knows(words)
    silent = [each for text, each in tokenizer.get_vocab().items() if text not in (*words, tokenizer.eos_token)]
    made: list[PlanningEnvironment] = []

    def factory() -> PlanningEnvironment:
        made.append(PlanningEnvironment(env.sibling()))
        return made[-1]

    trainer = trl.GRPOTrainer(
        model := tiny_model(tokenizer),
        train_dataset=datasets.Dataset.from_list([{"prompt": [{"role": "user", "content": "Plan this patient."}]}] * 5),
        processing_class=tokenizer,
        environment_factory=factory,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=5,
            num_generations=3,
            per_device_train_batch_size=3,
            max_completion_length=2000,
            max_tool_calling_iterations=1,
            generation_kwargs={"suppress_tokens": silent},
            learning_rate=0.1,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            seed=1,
        ),
    )
    before = model.lm_head.weight.detach().clone()
    trainer.train()
    steps = [log for log in trainer.state.log_history if "reward" in log]
    assert len(steps) == trainer.state.global_step == 5
    assert max(log["reward"] for log in steps) > NO_PLAN and any(log["reward_std"] > 0 for log in steps)
    assert made and not torch.equal(before, model.lm_head.weight)


def tokenizer_that_knows(words: list[str]) -> Any:
    """A tokenizer learned from the prompt's tools, which has each of the words as one token."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast
    from trl.chat_template_utils import qwen3_chat_template

    bare = tokenizers.Tokenizer(tokenizers.models.BPE())
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    marks = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, special_tokens=marks, show_progress=False
    )
    bare.train_from_iterator([json.dumps(tool.schema) + tool.description for tool in TOOLS.values()], trainer)
    bare.add_tokens([tokenizers.AddedToken(word, normalized=False) for word in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token=marks[1], pad_token=marks[2], chat_template=qwen3_chat_template
    )


def tiny_model(tokenizer: Any) -> Any:
    """A language model of one layer and random weights."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=32_000,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def test_transformers_reads_the_tools(env: RadPlanEnv) -> None:
    utils = pytest.importorskip("transformers.utils")
    rollout = PlanningEnvironment(env.sibling())
    for name in {*TOOLS} - {"task", "slice_image"}:
        schema = utils.get_json_schema(getattr(rollout, name))["function"]["parameters"]
        assert set(schema["properties"]) == set(TOOLS[name].arguments.model_fields)
