"""llms.txt, as llmstxt.org has it, from which the site's navigation is made."""

import posixpath
import re

from tests.docs.pages import PAGES
from tests.docs.pages import ROOT
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
    assert {*PAGES} - {"tests/README.md"} <= {*paths}
