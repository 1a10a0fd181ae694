"""What compare.py may be asked for at once."""

from __future__ import annotations

import pytest

from radplan_experiments.cohort import UsageError
from radplan_experiments.commands.compare import main
from radplan_experiments.commands.comparing import BESIDE, check_together
from radplan_experiments.options import given
from radplan_experiments.suites import available_suites


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ()),
        (["--budget", "3", "--seeds=2"], ("--budget", "--seeds")),
        (["--model.max_tokens", "3", "--retry-failed"], ("--model.max-tokens", "--retry-failed")),
        (["--cases", "pt_1", "pt_2", "--out", "a--b"], ("--cases", "--out")),
        (["--temperature", "-1", "--cases", "1", "--cases", "2"], ("--temperature", "--cases")),
    ],
)
def test_named_options_are_seen(arguments: list[str], names: tuple[str, ...]) -> None:
    assert given(arguments) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--suite", "--budget"], "--suite sets --budget itself"),
        (["--fidelity", "--suite", "--site"], "--suite sets --fidelity --site itself"),
        (["--validate", "--budget"], "--validate goes with --data and --jobs: leave out --budget"),
        (["--validate", "--merge"], "leave out --merge"),
        (["--report", "--out"], "--report goes with --no-figures: leave out --out"),
        (["--report", "--agents", "--suite"], "leave out --agents --suite"),
        (["--rescore", "--jobs"], "--rescore needs a folder for its results: --out"),
        (["--merge"], "--merge needs a folder for its results: --out"),
        (["--merge", "--out", "--jobs"], "leave out --jobs"),
    ],
)
def test_what_has_no_meaning_together_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_together(options)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--budget", "--seeds", "--site", "--out"],
        ["--suite", "--data", "--agents", "--jobs", "--out", "--retry-failed", "--llm"],
        ["--validate", "--data", "--jobs"],
        ["--report"],
        ["--rescore", "--out", "--data", "--jobs"],
        ["--merge", "--out"],
    ],
)
def test_what_goes_together_is_let_through(options: list[str]) -> None:
    check_together(options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "prostate-v1", "--budget", "10"], "--suite sets --budget itself"),
        (["--suite", "prostate-v9"], "no suite 'prostate-v9'; there are head-and-neck-v1, prostate-v1"),
        (["--suite", "prostate-v1", "--data", "/tmp"], "reads no data"),
        (["--suite", "head-and-neck-v1"], "github.com/ababier/open-kbp"),
        (["--ray-address", "auto"], "--ray-address is for --backend ray"),
        (["--validate", "/nowhere"], "/nowhere"),
        (["--report", "/nowhere"], "/nowhere"),
    ],
)
def test_bad_requests_end_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("compare.py: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_help_names_every_suite_and_every_use_of_results(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*available_suites(), *BESIDE))
