"""Print the digests that a suite's file should hold: ``python -m radplan_experiments.suites NAME [DATA]``."""

from __future__ import annotations

import sys

from radplan_env.beam_models import beam_model_named
from radplan_env.delivery.machine import machine_named
from radplan_env.protocol import load_protocol
from radplan_env.scorecards import load_scorecard
from radplan_experiments.cohort import Origin, open_cohort, unrecognised
from radplan_experiments.suites import load_suite


def main(name: str, *data: str) -> None:
    """Read a suite's cases, plan nothing, and print its lines of digests.

    Parameters
    ----------
    name : str
        Of the suite; its file may hold earlier digests.
    data : str
        Where its cases lie, if its source reads files.
    """
    suite = load_suite(name)
    protocol, scorecard = load_protocol(suite.protocol), load_scorecard(suite.scorecard.name)
    cases = open_cohort(Origin(suite.source, data, suite.split, structures=unrecognised(protocol)))
    print(f"protocol_digest: {protocol.digest(scorecard.name)}")
    print(f'scorecard:\n  name: {scorecard.name}\n  version: "{scorecard.version}"\n  digest: {scorecard.digest}')
    beam_model = beam_model_named(suite.beam_model.name)
    print(f"beam_model:\n  name: {beam_model.name}\n  digest: {beam_model.digest}")
    if (machine := suite.delivery.machine) is not None:
        print(f"machine {machine}: {machine_named(machine).digest}")
    print("cases:")
    for case in suite.cases:
        print(f"  {case}: {cases[case].digest()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
