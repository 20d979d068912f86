"""The project's documents as data: their text, links, headings, commands and code blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`([^`\n]+)`")


def name(document: Path) -> str:
    """A document's name for a test's id."""
    return str(document.relative_to(ROOT))


def blocks(document: Path, language: str) -> list[str]:
    """The fenced code blocks of one language, in order."""
    return [text for tag, text in FENCE.findall(document.read_text("utf-8")) if tag == language]


def prose(document: Path) -> str:
    """The text without its fenced and indented code."""
    lines = FENCE.sub("", document.read_text("utf-8")).splitlines()
    return "\n".join(line for line in lines if not line.startswith("    "))


def links(document: Path) -> list[str]:
    """The targets of all links and pictures."""
    return LINK.findall(prose(document))


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def inline_code(document: Path) -> list[str]:
    """All `inline code`."""
    return INLINE_CODE.findall(prose(document))


def commands(document: Path) -> Iterator[list[str]]:
    """Every shell command as its words: indented lines, shell blocks and inline code; comments are left out."""
    indented = re.findall(r"^    (\S.*)$", FENCE.sub("", document.read_text("utf-8")), re.MULTILINE)
    lines = [*indented, *"\n".join(blocks(document, "sh")).splitlines(), *inline_code(document)]
    for line in lines:
        for command in re.split(r" && | ;  ?", line):
            words = shlex.split(command, comments=True) if command.count("'") % 2 == 0 else []
            if words:
                yield words
