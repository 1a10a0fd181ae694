"""The options of every command, as tyro reads them. Quick to import: help need not wait for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from radplan_agents.registry import REGISTRY
from radplan_env.sites import SITES
from radplan_env.sources import SOURCES

DEFAULT_SITE = "prostate"

SITE_ARGUMENT = tyro.conf.arg(metavar=f"{{{','.join(SITES)}}}")
_SOURCES = tyro.conf.arg(metavar=f"{{{','.join(SOURCES)}}}")
_AGENTS = tyro.conf.arg(
    help=f"Agents by name: {', '.join(REGISTRY)}; your own as package.module:Class, or as 'mcp:COMMAND', "
    "which plays from a process of its own (docs/console.md). Those that need a language "
    "model do not play without one."
)


@dataclass
class TaskOptions:
    """Which patients are planned, by which protocol, how finely and how often."""

    site: Annotated[str | None, SITE_ARGUMENT] = None
    """Treatment site: which protocol, and where cases come from by default. Without --site and --protocol: prostate."""

    protocol: Path | None = None
    """YAML file of a protocol of your own, or the name of one of the package's; with --site, in place of the site's.
    Take one of radplan_env/protocols and change it."""

    scorecard: str | None = None
    """What scores plans: v1, v0, or one that another package registers; see docs/scorecard.md. By default v1,
    or v0 for a protocol without a section of v1."""

    gantry_angles_deg: tuple[float, ...] = ()
    """Gantry angles of the beams, in place of the protocol's."""

    collimator_angles_deg: tuple[float, ...] = ()
    """Collimator angle of each beam, or one for all; by default the protocol's, or 0 for beams of your own."""

    beam_model: Literal["generic-6x", "matrad-generic"] = "generic-6x"
    """The machine's beam, for planning and judging alike: see docs/beam-model.md. Results of two beams are not
    comparable."""

    source: Annotated[str | None, _SOURCES] = None
    """Where cases come from; by default the site's source: synthetic (prostate), openkbp (head-and-neck), matrad
    (tg119). With a protocol of your own and --data: dicom."""

    data: tuple[Path, ...] = ()
    """What the source reads: the provided-data folder (openkbp), a folder (dicom) or file (matrad) for each patient."""

    names: Path | None = None
    """YAML file with structure names of DICOM or matRad data and their TG-263 names: "Prostate PTV: PTV_7020". One file
    serves all patients; a patient need not have every name."""

    reference_dose: bool = True
    """Read the dose of the patients' own plans, where DICOM data hold one."""

    split: Literal["train", "validation", "test", "hard-test"] = "test"
    """Part of a synthetic or OpenKBP cohort. Tune agents on train and validation, report test; hard-test holds
    synthetic prostates that are hard to plan."""

    cases: tuple[str, ...] = ()
    """How many cases (the first so many), "all", or their ids. By default 3 synthetic prostates, else all."""

    budget: int = 10
    """Solves (inner optimisations) an agent may spend on a case."""

    fidelity: Literal["fast", "standard", "paper"] = "fast"
    """Dose grid and bixels: fast for trying out, paper (2.5 mm, 5 mm) for numbers to report."""


@dataclass
class DeliveryOptions:
    """How plans are delivered; by default they are ideal fluences, before sequencing."""

    technique: Literal["none", "step-and-shoot", "vmat"] = "none"
    """How plans are delivered, and so judged: "none" leaves them ideal. See docs/delivery.md."""

    machine: str = "millennium120"
    """Machine that delivers them, or the YAML file of one of your own."""

    arcs: int = 1
    """Arcs of a vmat plan."""

    deliver: Literal["each", "final"] = "each"
    """Whether the plan of every solve is delivered, which agents then see, or only the one that an episode hands
    over."""


@dataclass
class ModelOptions:
    """How the language model is called. Its key is read from OPENAI_API_KEY and written nowhere."""

    base_url: str | None = None
    """URL of an OpenAI-compatible service; OPENAI_BASE_URL if not given, else OpenAI's own."""

    vision: Literal["auto", "yes", "no"] = "auto"
    """Whether the model sees pictures. "auto" shows them until the service refuses; "yes" stops the run then."""

    temperature: float | None = 0.0
    """Sampling temperature; None leaves it to the service."""

    seed: int = 0
    """Sampling seed of an agent's first episode on a case; its other episodes (--seeds) count up from there."""

    max_reply_tokens: int | None = 4096
    """Length at which a reply is cut; a reasoning model's thoughts count. None leaves it to the service."""

    timeout_s: float = 600.0
    """Seconds until a call is given up."""

    attempts: int = 6
    """How often a call is tried where the service is busy, down or slow."""

    cache: Literal["read-write", "replay-only", "off"] = "read-write"
    """Whether replies are kept and used again; "replay-only" calls no model and needs neither key nor server."""

    replies: Path | None = None
    """File that replies are kept in; by default replies.sqlite in the run's folder. Runs may share one."""

    price: tuple[float, ...] = ()
    """US dollars for a million prompt tokens, completion tokens and, if it differs, cached prompt tokens."""

    max_tokens: int | None = None
    """Tokens the run may spend; the call that crosses the limit is the last."""

    max_usd: float | None = None
    """US dollars the run may spend; needs a price."""

    threads: int = 1
    """Threads of a model on this machine (local:PATH.gguf)."""

    context_tokens: int = 8192
    """Tokens of prompt and reply together that a model on this machine can hold."""


@dataclass
class LanguageModelOptions:
    """The language model of the agents that talk to one, and what they are told."""

    llm: str | None = None
    """Language model: MODEL, MODEL@BASE_URL or local:PATH.gguf; OPENAI_MODEL if not given."""

    instructions: str = ""
    """What language-model agents are to heed, in plain words: "spare the left parotid, accept 107 % in the PTV"."""

    library: Path | None = None
    """Folder of plans of other patients that gpt-radplan takes its examples from, made with build_library.py; by
    default those that come with the package."""

    send_images_off_site: bool = False
    """Send pictures of patients of your own to a service outside this machine: CT slices of a head show a face. Without
    it such a service gets numbers alone. Synthetic, OpenKBP and phantom patients are no secret."""

    share_images: bool = False
    """Keep pictures of patients of your own in transcripts, and so in reports; by default their places say what they
    showed."""

    model: ModelOptions = field(default_factory=ModelOptions)


@dataclass
class RunOptions(LanguageModelOptions, TaskOptions):
    """Which agents play, how often, where the results go."""

    agents: Annotated[tuple[str, ...], _AGENTS] = ("template", "random", "coordinate", "gpt-radplan")

    seeds: int = 1
    """Episodes of each agent on each case, with different random seeds; an agent that draws nothing plays one."""

    jobs: int = 0
    """Episodes played at once, which does not change the results; each holds a dose-influence matrix. 0: one per core,
    at most 8 on this machine."""

    backend: Literal["processes", "ray"] = "processes"
    """Where episodes are played: on processes of this machine, or on a Ray cluster whose nodes have this package and
    the data at the same paths. Results are the same; agents that talk to a language model need processes."""

    ray_address: str | None = None
    """The Ray cluster's address. By default RAY_ADDRESS, the cluster this machine is part of, or one started here."""

    retry_failed: bool = False
    """Play again what an agent failed in; otherwise it counts as played."""

    out: Path = Path("results/compare")
    """Folder for the results; a run of the same settings in it is continued."""


@dataclass
class ResultsOptions:
    """Do something with results that are there, and play nothing. One of these at a time."""

    validate: Path | None = None
    """Compute the plans of a results folder again, from their fluences and apertures, and confirm every number recorded
    of them."""

    report: Path | None = None
    """Write tables, figures and report of a results folder again."""

    rescore: Path | None = None
    """Judge the plans of a results folder anew, into --out, and report on them: by --protocol and --scorecard, or where
    they are not given by the run's own protocol, as its folder holds it, and its scorecard, as that is now."""

    merge: tuple[Path, ...] = ()
    """Put results folders that differ in agents, cases or seeds together, into --out, and report on them."""


@dataclass
class ComparisonOptions(DeliveryOptions, RunOptions):
    """What is played, delivered and drawn."""

    figures: bool = True
    """Draw the figures, which takes a second or two each; `radplan report DIR` draws them later."""


@dataclass
class CompareOptions(ComparisonOptions):
    """What compare.py is asked to do."""

    suite: str | None = None
    """Benchmark to run: prostate-v1, head-and-neck-v1 (needs --data). It sets site, source, split, cases, budget,
    seeds, fidelity and how plans are delivered."""

    results: tyro.conf.OmitArgPrefixes[ResultsOptions] = field(default_factory=ResultsOptions)


@dataclass
class AblationOptions(ComparisonOptions):
    """Which variants of GPT-RadPlan are compared."""

    agents: tuple[str, ...] = (
        "gpt-radplan",
        "gpt-radplan:small",
        "gpt-radplan:no-feedback",
        "gpt-radplan:dvh-only",
        "gpt-radplan:vision-only",
        "gpt-radplan:joint",
        "gpt-radplan:no-memory",
        "gpt-radplan:no-references",
        "gpt-radplan:fixed-references",
    )
    """Variants to compare; differences are taken against the first where the cases have no reference plans."""

    out: Path = Path("results/ablation")
    """Folder for the results; a run of the same settings in it is continued."""


@dataclass
class LibraryOptions(RunOptions):
    """Which training patients are planned, and by whom, for a library of plans."""

    split: Literal["train", "validation", "test"] = "train"
    """Part of a synthetic or OpenKBP cohort; anything but train is refused."""

    cases: tuple[str, ...] = ("6",)
    """How many cases (the first so many), "all", or their ids."""

    agents: tuple[str, ...] = ("coordinate",)
    """Planning agents, by name or as package.module:Class; of several, the best plan is kept."""

    out: Path = Path("results/library")
    """Folder for the run, and in it the library; a run of the same settings in it is continued."""


@dataclass
class ParetoOptions(RunOptions):
    """Which two metrics are traded for each other, and how."""

    metrics: tuple[str, str] | None = None
    """The two metrics, each a structure and what is measured of it; by default the mean doses of two organs."""

    ratios: int = 9
    """Points of the sweep over weights; 0 leaves it out."""

    largest_ratio: float = 1000.0
    """The ratio of the two weights goes from the template's divided by this to the template's times this."""

    wishes: tuple[str, ...] = ()
    """What language-model agents are told, one episode for each, after --instructions."""

    cases: tuple[str, ...] = ("1",)
    """How many cases (the first so many), "all", or their ids; each has a front of its own."""

    agents: tuple[str, ...] = ("gpt-radplan",)
    """Agents that are given the wishes."""

    out: Path = Path("results/pareto")
    """Folder for the results; episodes of the same settings in it are not played again."""


@dataclass
class ConverseOptions(LanguageModelOptions, TaskOptions):
    """Which patient is planned in conversation, and with which agent."""

    cases: tuple[str, ...] = ("1",)
    """The case, by its id; "1" is the first."""

    agent: str = "gpt-radplan"
    """gpt-radplan or a variant of it, such as gpt-radplan:dvh-only."""

    out: Path = Path("results/conversation")
    """Folder for the conversations."""


@dataclass
class MCPOptions(TaskOptions):
    """Which episode is served."""

    suite: str | None = None
    """Suite whose task is served, on one of its cases: prostate-v1, head-and-neck-v1 (needs --data)."""

    case: str | None = None
    """Id of the case; by default the first."""

    cases: tyro.conf.Suppress[tuple[str, ...]] = ("1",)

    split: Literal["train", "validation", "test", "hard-test"] = "validation"
    """Part of a synthetic or OpenKBP cohort."""

    http: int | None = None
    """Port to serve at over HTTP, http://127.0.0.1:PORT/mcp; by default over standard input and output."""

    send_images_off_site: bool = False
    """Show the client pictures of patients of your own: CT slices of a head show a face, and the client's model may be
    anywhere. Synthetic, OpenKBP and phantom patients are no secret."""

    out: Path = Path("results/mcp")
    """Folder for the records: each episode gets a results folder of its own in it."""


@dataclass
class TrainOptions:
    """What is trained, on which patients and for how long."""

    algorithm: Literal["ppo", "sac", "dqn"] = "ppo"
    """What trains the policy."""

    site: Annotated[str, SITE_ARGUMENT] = DEFAULT_SITE
    """Treatment site: which environment and protocol. Its source must have training and validation cases."""

    data: Path | None = None
    """What the site's source reads, for head-and-neck the provided-data folder of OpenKBP."""

    solves: int = 6000
    """Solves that the policy asks for in all; each episode takes one more for its start plan, which is counted.
    A solve takes about half a CPU second on prostates and several times as long on necks: try 512 first, with
    --validation-cases 2."""

    parallel: int = 8
    """Episodes side by side."""

    interval: int = 500
    """Solves between two checkpoints; the policy is evaluated at each."""

    validation_cases: int = 5
    """How many validation cases the policy is evaluated on."""

    seed: int = 0
    """Seed of everything that is drawn. A training that was interrupted draws anew from where it goes on."""

    hyperparameters: Path | None = None
    """YAML file of your own, as those in experiments/radplan_experiments/training/hyperparameters."""

    wandb: str | None = None
    """Project of Weights & Biases that the curves go to as well (pip install wandb)."""

    install: bool = False
    """Copy the policy to your data folder, where compare.py --agents ALGORITHM:own finds it. The package's stays."""

    out: Path | None = None
    """Folder of the training; results/train/ALGORITHM-SITE by default."""


@dataclass
class AttackOptions:
    """Which patients are planned badly."""

    site: Annotated[str, SITE_ARGUMENT] = DEFAULT_SITE
    """Treatment site: which protocol."""

    data: Path | None = None
    """What the site's source reads, for head-and-neck the provided-data folder of OpenKBP."""

    split: Literal["train", "validation", "test"] = "train"
    """Part of the cohort: scorecards are made on training patients."""

    cases: tuple[str, ...] = ("3",)
    """How many cases (the first so many), "all", or their ids."""

    fidelity: Literal["fast", "standard", "paper"] = "fast"
    """Dose grid and bixels."""


@dataclass
class ExportOptions:
    """Which plan is exported, and where to."""

    plan: tyro.conf.Positional[Path]
    """A plan file in the folder of a run: DIR/plans/AGENT/CASE/seed_N.npz."""

    out: Path = Path("dicom")
    """Folder for the DICOM files; it must not hold any yet."""


@dataclass
class ValidateOptions:
    """Which results are confirmed."""

    folder: tyro.conf.Positional[Path]
    """A results folder, yours or another's."""

    data: tuple[Path, ...] = ()
    """Where the cases' data lie on this machine, where that is not what the run's settings say."""

    jobs: int = 0
    """Plans computed at once. 0: one per core, at most 8."""


@dataclass
class ReportOptions:
    """Which results are reported."""

    folder: tyro.conf.Positional[Path]
    """A results folder."""

    figures: bool = True
    """Draw the figures, which takes a second or two each."""


@dataclass
class RescoreOptions(ValidateOptions):
    """Which results are judged again."""

    out: Path = field(kw_only=True)
    """Folder for the results as they are judged now."""

    protocol: Path | None = field(default=None, kw_only=True)
    """YAML file of a protocol to judge by, or the name of one of the package's; by default the run's own."""

    scorecard: str | None = field(default=None, kw_only=True)
    """Scorecard to score by; by default the run's, as it is now."""


@dataclass
class MergeOptions:
    """Which results are put together."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Results folders that differ in agents, cases or seeds."""

    out: Path = field(kw_only=True)
    """Folder for the whole."""

    figures: bool = field(default=True, kw_only=True)
    """Draw the figures, which takes a second or two each; `radplan report DIR` draws them later."""


@dataclass
class PromptOptions:
    """Which step's prompts are written, and where to."""

    folder: Path = Path("docs") / "prompts"
    """One Markdown file per site is written here."""

    step: int = 4
    """Step whose calls are shown; those before it are its history."""


def given(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the options that a command line names, as `--help` writes them: "--budget", "--model.seed"."""
    names = (argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--"))
    return tuple(dict.fromkeys(names))
