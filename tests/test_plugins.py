"""Registries: what this package has by name, and what other packages add."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from radplan_env import plugins
from radplan_env.plugins import PluginError, Registry, object_of
from radplan_env.sites import SITES, Site, environment_id, site_of

GROUP = "radplan_env.sites"
HERE = Site("here", protocol="prostate", source="synthetic")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[Site]:
    found = EntryPoints(
        EntryPoint(name, value, GROUP)
        for name, value in [
            ("tg119", "radplan_env.sites:SITES"),
            ("prostate", "tests_nowhere:SITE"),
            ("neck", "tests_nowhere:SITE"),
            ("here", "tests_nowhere:ONE"),
            ("twice", "tests_nowhere:ONE"),
            ("twice", "tests_nowhere:OTHER"),
        ]
    )
    monkeypatch.setattr(plugins, "_entry_points", lambda path, group: found.select(group=group))
    return Registry(GROUP, {"here": HERE, "alone": HERE}, object_of(Site, GROUP))


def test_own_names_come_first_and_listing_loads_nothing(registry: Registry[Site]) -> None:
    assert list(registry) == ["here", "alone", "neck", "prostate", "tg119", "twice"]
    assert len(registry) == 6
    assert registry["alone"] is HERE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("neck", "neck = tests_nowhere:SITE.*No module named"),
        ("tg119", "must name a Site"),
        ("here", "radplan_env and .* register 'here'"),
        ("twice", "register 'twice'"),
    ],
)
def test_what_cannot_be_used_is_named(registry: Registry[Site], name: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        registry[name]


def test_a_name_that_nobody_registers(registry: Registry[Site]) -> None:
    assert "liver" not in registry and registry.get("liver") is None


def test_the_id_of_a_record_is_the_name_of_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints([EntryPoint("liver", f"{__name__}:HERE", GROUP)])
    monkeypatch.setattr(plugins, "_entry_points", lambda path, group: found)
    with pytest.raises(PluginError, match="'here'"):
        Registry(GROUP, {}, object_of(Site, GROUP))["liver"]


def test_environments_and_protocols_follow_from_the_site() -> None:
    assert [environment_id(site) for site in SITES.built_in] == [
        "RadPlan/Prostate-v0",
        "RadPlan/HeadAndNeck-v0",
        "RadPlan/TG119-v0",
    ]
    assert site_of("head_and_neck") is SITES["head-and-neck"]
    assert site_of("my_prostate") is None
