"""Reads a page as a browser would and says what is wrong with it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlparse

VOID = {"meta", "img", "br", "link", "hr", "input"}
ADDRESSES = ("src", "href", "srcset", "data", "action", "poster", "background")


class Page(HTMLParser):
    """The elements of a page, its text, and what is not as it should be.

    Parameters
    ----------
    source : str
        The page.
    """

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        self.faults += [f"id {name} twice" for name in set(ids) if ids.count(name) > 1]
        targets = [value[1:] for value in self.addresses() if value.startswith("#")]
        self.faults += [f"#{target} leads nowhere" for target in targets if target not in ids]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes what is not open")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of the elements of a tag."""
        return [attributes for name, attributes in self.elements if name == tag]

    def addresses(self) -> list[str]:
        """Whatever an attribute refers to."""
        return [value for _, attributes in self.elements for name, value in attributes.items() if name in ADDRESSES]

    def outside(self) -> list[str]:
        """What a browser would have to fetch; links to transcripts beside the page are for the reader to follow."""
        return [
            value[:60]
            for value in self.addresses()
            if not value.startswith(("#", "transcripts/")) and urlparse(value).scheme != "data"
        ]
