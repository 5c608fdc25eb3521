"""What the files of the console never hold: inline code, ways to make code of text, other hosts."""

import re
from html.parser import HTMLParser

from tests.support.command import ROOT

STATIC = ROOT / "server/web/static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
SHEETS = sorted(STATIC.rglob("*.css"))
# Ways to make markup or code of text.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc"
    r"|\beval\(|new Function|set(?:Timeout|Interval)\(\s*[\"'`]|setAttribute\(\s*[\"']style|javascript:"
)
ELSEWHERE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[\w.-]+\.[a-z]{2,}")


class Inline(HTMLParser):
    """Collects what is code or style inside a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.found.append(tag)
        self.found += [name for name in given if name == "style" or name.startswith("on")]


def test_no_code_and_no_style_stands_in_the_page() -> None:
    inline = Inline()
    inline.feed((STATIC / "index.html").read_text())
    assert inline.found == []


def test_scripts_never_make_markup_or_code_of_text() -> None:
    assert {path.name: FORBIDDEN.findall(path.read_text()) for path in SCRIPTS} == {
        path.name: [] for path in SCRIPTS
    }


def test_files_name_no_other_host() -> None:
    named = {
        path.name: found
        for path in (*SCRIPTS, *SHEETS, STATIC / "index.html")
        if (found := ELSEWHERE.findall(path.read_text()))
    }
    assert named == {}
