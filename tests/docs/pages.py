"""What the pages of the documentation say, taken apart."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    + ("savedmodels/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # which tells of what is no more
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}.*\n+)+)")
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"""(?:\]\(|\b(?:src|srcset|href)=")\s*([^)\s"]+)\s*[)"]""")
PROGRAMS = ("keras-vtr", "python", "pip", "pytest", ".ci/run")


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def python_blocks(page):
    """The fenced blocks, each below as many blank lines as to keep its place.

    So an error names the line of the page.
    """
    text = read(page)
    for match in FENCED.finditer(text):
        if match[1] == "python":
            yield "\n" * text.count("\n", 0, match.start(2)) + match[2]


def prose(page):
    """The text without its blocks of code."""
    return INDENTED.sub("\n", FENCED.sub("", read(page)))


def code_words(page):
    """What stands in backticks, on one line."""
    return [" ".join(x.split()) for x in CODE.findall(prose(page))]


def links(page):
    return LINK.findall(FENCED.sub("", read(page)))


def commands(page):
    """Lines of shell blocks: each program that is ours, with its arguments."""
    text = read(page)
    blocks = [x[1] for x in FENCED.findall(text) if x[0] in ("", "console")]
    blocks += INDENTED.findall(FENCED.sub("", text))
    return [x for block in blocks for x in _commands(block)]


def mentioned_commands(page):
    """Commands within sentences, which may lack what they require."""
    return [x for word in code_words(page) for x in _commands(word)]


def _commands(text):
    for line in text.replace("\\\n", " ").splitlines():
        line = line.partition(" #")[0].strip().removeprefix("$ ")
        for part in re.split(r"&&|\||;", line):
            words = part.split()
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                del words[0]
            if words and words[0] in PROGRAMS:
                yield " ".join(words)
