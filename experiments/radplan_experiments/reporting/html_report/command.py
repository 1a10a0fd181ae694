"""How a run is repeated, from its settings: what was typed holds paths, and they may tell who a patient is."""

from __future__ import annotations

import re
import shlex

from radplan_env.beam_models import DEFAULT_BEAM_MODEL
from radplan_env.delivery.machine import DEFAULT_MACHINE, MACHINES
from radplan_env.planning import DeliverySettings
from radplan_env.protocol import load_protocol
from radplan_env.scorecards import scorecard_for
from radplan_env.sites import SITES
from radplan_experiments.recording.settings import Settings

_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/~])~?/(?:[^\s/:;,'\"]+/)+[^\s:;,'\"]*")


def command(settings: Settings) -> str:
    """The command line that plays the run again into another folder, with words in place of paths."""
    words = ["python", "experiments/compare.py", *_task(settings), "--agents", *settings.agents]
    if settings.model is not None:
        words += _language_model(settings)
    if settings.instructions:
        words += ["--instructions", settings.instructions]
    if settings.library is not None:
        words += ["--library", "LIBRARY"]
    return shlex.join([*words, "--out", "OTHER"])


def without_paths(text: str, settings: Settings) -> str:
    """A text with words in place of the paths that it names."""
    for path, word in [(path, "DATA") for path in settings.data] + [(settings.names or "", "NAMES.yaml")]:
        if path:
            text = re.sub(rf"{re.escape(path)}[^:;,'\"\n]*", word, text)
    return _ABSOLUTE_PATH.sub("PATH", text)


def _task(settings: Settings) -> list[str]:
    data = ["--data", *["DATA"] * len(settings.data)] if settings.data else []
    if settings.suite is not None:
        return ["--suite", settings.suite, *data]
    words = ["--site", settings.site] if settings.site in SITES else []
    words += [*_own_protocol(settings), "--source", settings.source, "--split", settings.split, *data]
    words += ["--names", "NAMES.yaml"] if settings.names else []
    words += [] if settings.reference_dose else ["--no-reference-dose"]
    words += ["--cases", *settings.cases, "--fidelity", settings.fidelity]
    if settings.scorecard.name != scorecard_for(settings.protocol).name:
        words += ["--scorecard", settings.scorecard.name]
    for name in ("gantry_angles_deg", "collimator_angles_deg"):
        if angles := getattr(settings, name):
            words += [f"--{name.replace('_', '-')}", *(f"{angle:g}" for angle in angles)]
    if settings.beam_model.name != DEFAULT_BEAM_MODEL:
        words += ["--beam-model", settings.beam_model.name]
    if settings.delivery is not None:
        words += _delivery(settings.delivery)
    return [*words, "--budget", str(settings.budget), "--seeds", str(settings.seeds)]


def _delivery(chosen: DeliverySettings) -> list[str]:
    machine = chosen.chosen_machine
    words = ["--technique", chosen.technique, "--deliver", chosen.when]
    if machine.name not in MACHINES:
        words += ["--machine", "DIR/machine.yaml"]
    elif machine.name != DEFAULT_MACHINE:
        words += ["--machine", machine.name]
    return [*words, "--arcs", str(chosen.arcs)] if chosen.technique == "vmat" else words


def _own_protocol(settings: Settings) -> list[str]:
    """The protocol, unless it is the site's: each results folder holds its own."""
    site = SITES.get(settings.site)
    is_sites = site is not None and load_protocol(site.protocol).digest() == settings.protocol.digest()
    return [] if is_sites else ["--protocol", "DIR/protocol.yaml"]


def _language_model(settings: Settings) -> list[str]:
    model = settings.model
    assert model is not None
    words = ["--llm", model.name.partition("#")[0]]  # what follows it is a digest of the model's file
    for name in ("vision", "temperature", "seed", "max_reply_tokens"):
        words += [f"--model.{name.replace('_', '-')}", str(getattr(model, name))]
    return words
