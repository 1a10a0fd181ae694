"""From the options of a command line to the settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from radplan_agents.llm import NoModelError, SettingsError
from radplan_agents.registry import load_agent
from radplan_env.beam_angles import collimator_angles, gantry_angles
from radplan_env.planning import DeliverySettings
from radplan_env.protocol import Protocol, ProtocolError, load_protocol
from radplan_env.scorecards import Scorecard, check_scorecard, load_scorecard, scorecard_for
from radplan_env.sites import Site, site_id, site_of
from radplan_experiments.cohort import Origin, UsageError, open_cohort, select, site_named, source_named, unrecognised
from radplan_experiments.options import (
    DEFAULT_SITE,
    DeliveryOptions,
    LanguageModelOptions,
    RunOptions,
    TaskOptions,
)
from radplan_experiments.recording.settings import BeamModelChoice, ModelChoice, ScorecardChoice, Settings
from radplan_experiments.running import language_model
from radplan_experiments.suites import load_suite


def settings_of(args: RunOptions) -> Settings:
    """Check what was asked for and fill in what depends on the site.

    Agents that need a language model are left out where none is named or it has no key.

    Raises
    ------
    UsageError
        If something asked for is not there.
    """
    for name, least in (("budget", 1), ("seeds", 1), ("jobs", 0)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    if args.ray_address is not None and args.backend != "ray":
        raise UsageError("--ray-address is for --backend ray")
    origin, protocol = origin_of(args), protocol_of(args)
    scorecard, (gantry, collimator) = scorecard_of(args, protocol), beams_of(args, protocol)
    agents, model = _agents_and_model(args)
    _check_backend(args, model)
    _check_protocol(agents, protocol)
    return Settings(
        site=site_of_task(args).id,
        protocol=protocol,
        scorecard=ScorecardChoice.of(scorecard),
        source=origin.source,
        data=origin.data,
        split=origin.split,
        names=origin.names,
        reference_dose=origin.reference_dose,
        cases=cases_of(args),
        agents=agents,
        budget=args.budget,
        seeds=args.seeds,
        fidelity=args.fidelity,
        model=model,
        instructions=args.instructions,
        library=_library(args, agents),
        deterministic=tuple(agent for agent in agents if getattr(load_agent(agent), "deterministic", False)),
        gantry_angles_deg=gantry,
        collimator_angles_deg=collimator,
        beam_model=BeamModelChoice.of(args.beam_model),
        delivery=delivery_of(args) if isinstance(args, DeliveryOptions) else None,
    )


def settings_of_suite(name: str, args: RunOptions) -> Settings:
    """Settings of a suite's run, on those of its cases that there are.

    Parameters
    ----------
    name : str
        The suite's.
    args : RunOptions
        Which agents play, and where the data are; what the suite sets is not looked at.

    Raises
    ------
    UsageError
        If there is no such suite, none of its cases, or the protocol is no longer what it was made with.
    """
    try:
        suite = load_suite(name)
    except ValueError as error:
        raise UsageError(f"--suite: {error}") from error
    task = replace(
        args,
        site=suite.site,
        source=suite.source,
        split=suite.split,
        budget=suite.budget,
        seeds=suite.seeds,
        fidelity=suite.fidelity,
        scorecard=suite.scorecard.name,
        protocol=None,
        gantry_angles_deg=(),
        collimator_angles_deg=(),
        beam_model=suite.beam_model.name,
    )
    if isinstance(task, DeliveryOptions):
        asked = suite.delivery
        task.technique, task.machine, task.arcs, task.deliver = asked.options
    there = open_cohort(origin_of(task)).ids
    cases = tuple(case for case in suite.cases if case in there)
    if not cases:
        raise UsageError(f"--suite {name}: none of its cases is there: {', '.join(suite.cases)}")
    settings = replace(settings_of(replace(task, cases=cases)), suite=name)
    if departures := suite.departures(settings):
        raise UsageError(f"--suite {name} cannot be run with this radplan_env: {'; '.join(departures)}")
    return settings


def _check_backend(args: RunOptions, model: ModelChoice | None) -> None:
    if args.backend == "ray" and model is not None:
        talking = " ".join(agent for agent in args.agents if language_model.talks(agent))
        raise UsageError(
            f"--backend ray cannot play {talking}: what a language model says and costs is kept in files of this "
            "machine. Play it on processes into a folder of its own, and --merge the two"
        )


def _check_protocol(agents: Sequence[str], protocol: Protocol) -> None:
    """Ask those agents that know whether they can plan by a protocol: a policy may be missing."""
    for agent in agents:
        check = getattr(load_agent(agent), "check_protocol", None)
        try:
            if check is not None:
                check(protocol)
        except (OSError, ValueError) as error:
            raise UsageError(f"--agents {agent}: {error}") from error


def protocol_of(task: TaskOptions) -> Protocol:
    """The protocol of a task: the site's, unless another is asked for; see `protocol_named`."""
    if task.protocol is not None:
        return protocol_named(task.protocol)
    return protocol_named(Path(site_of_task(task).protocol), "--site")


def site_of_task(task: TaskOptions) -> Site:
    """The site asked for. A protocol of one's own without a site is a site of its own.

    Its patients are those of --data, read as DICOM unless --source says otherwise; without --data, those of the default
    site.

    Raises
    ------
    UsageError
        If there is no such site.
    """
    if task.site is not None:
        return site_named(task.site)
    default = site_named(DEFAULT_SITE)
    if task.protocol is None:
        return default
    protocol = protocol_named(task.protocol)
    if (known := site_of(protocol.name)) is not None:
        return known
    source, cases = ("dicom", "all") if task.data else (default.source, default.cases)
    return Site(site_id(protocol.name), protocol=str(task.protocol), source=source, cases=cases)


def protocol_named(name: Path, option: str = "--protocol") -> Protocol:
    """One of the package's protocols by its name, or one's own by its path.

    Raises
    ------
    UsageError
        If there is no such protocol, or it is not valid.
    """
    try:
        return load_protocol(name.expanduser())
    except ProtocolError as error:
        raise UsageError(f"{option}: {error}") from error


def scorecard_of(task: TaskOptions, protocol: Protocol) -> Scorecard:
    """The scorecard of a task.

    Raises
    ------
    UsageError
        If there is no such scorecard, or the protocol lacks what it needs.
    """
    try:
        scorecard = load_scorecard(task.scorecard) if task.scorecard else scorecard_for(protocol)
        check_scorecard(scorecard, protocol)
    except ValueError as error:
        raise UsageError(f"--scorecard: {error}") from error
    return scorecard


def beams_of(task: TaskOptions, protocol: Protocol) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gantry and collimator angles of a task that are not its protocol's.

    Raises
    ------
    UsageError
        If they are no angles, or not as many as beams.
    """
    try:
        gantry = gantry_angles(task.gantry_angles_deg) if task.gantry_angles_deg else ()
        beams = len(gantry or protocol.gantry_angles_deg)
        collimator = collimator_angles(task.collimator_angles_deg, beams) if task.collimator_angles_deg else ()
    except ValueError as error:
        raise UsageError(f"--gantry-angles-deg, --collimator-angles-deg: {error}") from error
    return gantry, collimator


def delivery_of(args: DeliveryOptions) -> DeliverySettings | None:
    """How the plans of a run are delivered; None leaves them ideal.

    Raises
    ------
    UsageError
        If there is no such machine, it delivers no such plan, or what is asked for goes with another technique.
    """
    default = DeliveryOptions()
    goes = {"none": (), "step-and-shoot": ("machine", "deliver"), "vmat": ("machine", "arcs", "deliver")}[
        args.technique
    ]
    others = [name for name in ("machine", "arcs", "deliver") if getattr(args, name) != getattr(default, name)]
    if idle := [f"--{name}" for name in others if name not in goes]:
        raise UsageError(f"{' '.join(idle)}: without effect with --technique {args.technique}; leave it out")
    if args.technique == "none":
        return None
    if args.machine.endswith((".yaml", ".yml")):
        args = replace(args, machine=str(Path(args.machine).expanduser().resolve()))
    try:
        chosen = DeliverySettings(args.technique, args.machine, args.arcs, args.deliver)
    except ValueError as error:
        raise UsageError(f"--machine: {error}") from error
    if args.technique == "vmat" and not 1 <= args.arcs <= (most := len(chosen.chosen_machine.arc_collimator_deg)):
        raise UsageError(f"--arcs: machine {args.machine} has collimator angles for 1 to {most}, got {args.arcs}")
    return chosen


def origin_of(task: TaskOptions) -> Origin:
    """Where the cases of a task come from."""
    return Origin(
        source=task.source or site_of_task(task).source,
        data=tuple(str(path.expanduser().resolve()) for path in task.data),
        split=task.split,
        names=None if task.names is None else str(task.names.expanduser().resolve()),
        reference_dose=task.reference_dose,
        structures=unrecognised(protocol_of(task)),
    )


def own_patients(args: LanguageModelOptions, task: TaskOptions) -> bool:
    """Whether pictures of a task show patients of the user's own, in its cases or in the examples of a library."""
    origin = origin_of(task)
    public = source_named(origin.source).public or (origin.source == "matrad" and not origin.data)  # the phantom
    library = None if args.library is None else language_model.library_of(str(args.library.expanduser().resolve()))
    return not public or (library is not None and library.own_patients)


def cases_of(task: TaskOptions) -> tuple[str, ...]:
    """Ids of the cases of a task."""
    site, origin = site_of_task(task), origin_of(task)
    default = site.cases if origin.source == site.source else "all"
    return select(open_cohort(origin).ids, task.cases or (default,))


def _agents_and_model(args: RunOptions) -> tuple[tuple[str, ...], ModelChoice | None]:
    """The agents that can play, and the model of those that talk to one."""
    if not args.agents or len(set(args.agents)) < len(args.agents):
        raise UsageError("--agents: name one or more, each once")
    try:
        talking = [agent for agent in args.agents if language_model.talks(agent)]
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"--agents: {error}") from error
    if not talking:
        if args.llm or args.instructions:
            raise UsageError("--llm and --instructions are for agents that talk to a language model: name one")
        return args.agents, None
    try:
        return args.agents, language_model.choose(args, own_patients=own_patients(args, args))
    except NoModelError as error:
        others = tuple(agent for agent in args.agents if agent not in talking)
        if not others:
            raise UsageError(str(error)) from error
        return others, None
    except SettingsError as error:
        raise UsageError(f"--llm: {error}") from error


def without_model(args: RunOptions, settings: Settings) -> dict[str, str]:
    """Agents asked for that do not play as they have no language model, and how to give them one."""
    absent = [agent for agent in args.agents if agent not in settings.agents]
    try:
        if absent:
            language_model.choose(args, own_patients=False)
    except NoModelError as error:
        return dict.fromkeys(absent, str(error))
    return {}


def _library(args: RunOptions, agents: Sequence[str]) -> str | None:
    """Where the examples lie, after a look whether they can be read."""
    if args.library is None:
        return None
    if not any(map(language_model.reads_library, agents)):
        raise UsageError("--library is for gpt-radplan, which does not play")
    path = str(args.library.expanduser().resolve())
    language_model.library_of(path)
    return path
