"""What the site needs of the pages, beside what `mkdocs build` looks at.

llms.txt, as llmstxt.org has it, is what the site's navigation is made of.
"""

import posixpath
import re

import pytest

from tests.docs.pages import PAGES
from tests.docs.pages import ROOT
from tests.docs.pages import prose
from tests.docs.pages import read

LLMS = "docs/llms.txt"
ENTRY = re.compile(r"- \[[^\]]+\]\(([^)]+)\): \S.*")


def test_it_has_a_title_a_summary_and_one_line_for_each_page():
    title, blank, summary, *lines = read(LLMS).splitlines()
    assert title.startswith("# ") and not blank and summary.startswith("> ")
    lines = [x for x in lines if x and not x.startswith("## ")]
    targets = [ENTRY.fullmatch(line)[1] for line in lines]
    paths = [posixpath.normpath(posixpath.join("docs", x)) for x in targets]
    assert len({*paths}) == len(paths)
    for path in paths:
        assert (ROOT / path).is_file(), path
    assert {*PAGES} <= {*paths}


@pytest.mark.parametrize("page", PAGES)
def test_lists_are_read_alike_on_github_and_in_the_site(page):
    """A paragraph or a block of code within an item is not: GitHub asks for 2
    spaces before it, Python-Markdown for 4."""
    assert not re.search(r"\n\n {1,3}\S.*", prose(page))


@pytest.mark.parametrize(
    ("page", "limit"), [("README.md", 250), ("docs/ja/guide.md", 200)]
)
def test_pages_that_are_to_be_short_are(page, limit):
    assert read(page).count("\n") <= limit
