"""Treatment sites: what is planned by which protocol, on whose cases. A new site is a protocol file and one record.

Another package adds a site through the entry-point group ``radplan_env.sites``: the entry point is called as the
site's id and names a `Site`. See CONTRIBUTING.md for an example.
"""

from __future__ import annotations

from dataclasses import dataclass

from radplan_env.plugins import Registry, object_of

GROUP = "radplan_env.sites"


@dataclass(frozen=True)
class Site:
    """A treatment site.

    Parameters
    ----------
    id : str
        Short name, as `--site` takes it: lower case, words joined by hyphens. Spelled with underscores it is the name
        of the site's protocol.
    protocol : str
        A protocol of this package by name, or the path of a YAML file.
    source : str
        Where cases come from by default: a name in `radplan_env.sources.SOURCES`.
    cases : str
        How many cases of that source are played by default: a number, or "all".
    trade_off : (str, str), optional
        Two metrics that a planner trades for each other, such as "Rectum mean".
    """

    id: str
    protocol: str
    source: str
    cases: str = "all"
    trade_off: tuple[str, str] | None = None

    @property
    def environment(self) -> str:
        """Id of the site's Gymnasium environment."""
        return environment_id(self.id)


SITES: Registry[Site] = Registry(
    GROUP,
    {
        site.id: site
        for site in (
            Site(
                "prostate",
                protocol="prostate",
                source="synthetic",
                cases="3",
                trade_off=("Rectum mean", "Bladder mean"),
            ),
            Site(
                "head-and-neck",
                protocol="head_and_neck",
                source="openkbp",
                trade_off=("Parotid_L mean", "Cavity_Oral mean"),
            ),
            Site(
                "tg119",
                protocol="tg119",
                source="matrad",
                trade_off=("Core mean", "PTV_5000 HI"),
            ),
        )
    },
    object_of(Site, GROUP),
)
"""Sites by id: those of this package, and those of others that are installed."""


def site_of(protocol_name: str) -> Site | None:
    """Return the site of a protocol's name ("head_and_neck"), None for a protocol that belongs to no site."""
    return SITES.get(site_id(protocol_name))


def site_id(name: str) -> str:
    """Return a site's or protocol's name as site ids are spelled: "head_and_neck" becomes "head-and-neck"."""
    return name.replace("_", "-")


def environment_id(site: str) -> str:
    """Return the id of a site's environment: "RadPlan/HeadAndNeck-v0", "RadPlan/TG119-v0"."""
    words = site.split("-")
    return f"RadPlan/{''.join(word.capitalize() if word.isalpha() else word.upper() for word in words)}-v0"
