"""The Ascend pages: the English and the Chinese one say the same, and name messages, files and flags that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/ascend.md", "docs/ascend.zh.md", "docs/ascend_port.md")


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def code_in(page):
    """Words in backquotes and lines of code, comments left out."""
    blocks = re.findall(r"^```\n(.*?)^```", text(page), re.S | re.M)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return lines, re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text(page), flags=re.S | re.M))


def test_both_languages_have_the_same_commands_and_tables():
    (lines, words), (chinese_lines, chinese_words) = code_in(PAGES[0]), code_in(PAGES[1])
    assert lines == chinese_lines
    translated = {"--device-NAME", "--device-名称", "<type>.<name>.<task>.<stream>.<time>"}
    difference = {word for word in set(words) ^ set(chinese_words) if not word.startswith("<")}
    assert difference <= translated
    for mark in ("## ", "| ", "- "):
        counts = [sum(line.startswith(mark) for line in text(page).splitlines()) for page in PAGES[:2]]
        assert counts[0] == counts[1], mark


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_and_sections_exist(page):
    for target in re.findall(r"\]\(([^)]+)\)", text(page)):
        path, _, section = target.partition("#")
        linked = (ROOT / page).parent / path if path else ROOT / page
        assert linked.exists(), target
        headings = [
            re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in linked.read_text(encoding="utf-8").splitlines()
            if line.startswith("#")
        ]
        assert not section or section in headings, target


@pytest.mark.parametrize("page", PAGES[:2])
def test_messages_are_those_of_the_sources(page):
    sources = "".join(
        path.read_text(encoding="utf-8") for path in [*(ROOT / "tcc").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py")]
    )
    rows = re.findall(r"^\| (`[^|]*`)[^|]*\|", text(page).split("## 7.")[1].split("## 8.")[0], re.M)
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(messages) >= 13
    for message in messages:
        words = re.sub(r"^\w+: ", "", re.split(r" \(| Failed open|\.\.\.|: $", message)[0]).strip(" :")
        words = re.sub(r"^(missing|step N: loss = nan) ?", "", words).replace(" on cpu", "")
        assert words in sources, message


def test_the_port_page_has_every_flag():
    from tcc.ascend_port.options import _parser

    shown = text(PAGES[2])
    flags = [flag for action in _parser()._actions for flag in action.option_strings if action.help != "==SUPPRESS=="]
    assert not [flag for flag in flags if flag not in ("-h", "--help") and f"`{flag}`" not in shown]


def test_the_port_page_has_every_argument_of_the_scripts():
    script = (ROOT / "scripts" / "train_1p.sh").read_text()
    arguments = re.findall(r"^        (--\w+)=\S*\)", script, re.M)
    assert len(arguments) >= 12
    assert not [argument for argument in arguments if f"`{argument}=" not in text(PAGES[2])]
