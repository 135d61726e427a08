"""What the guides say that their code prints is what it prints."""

import re

import pytest

from tests.docs.pages import python_blocks

pytestmark = [pytest.mark.slow, pytest.mark.any_backend]
COMMENT = re.compile(r"^[^#\n]*print\(.*\)\s*# (.+)$", re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?|True|False")


def numbers(text):
    """Numbers and truths of a text, and the half of each one's last digit."""
    words = {"True": "1", "False": "0"}
    found = [words.get(x, x.replace(",", "")) for x in NUMBER.findall(text)]
    decimals = [len(x.partition(".")[2]) for x in found]
    return [
        (float(x), 0.51 * 10**-n) for x, n in zip(found, decimals, strict=True)
    ]


@pytest.mark.parametrize("page", ["docs/guide.md", "docs/ja/guide.md"])
def test_a_comment_beside_print_begins_with_what_is_printed(
    page, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    namespace, num_comments = {}, 0
    for block in python_blocks(page):
        exec(compile(block, page, "exec"), namespace)
        printed = numbers(capsys.readouterr().out)
        for comment in COMMENT.findall(block):
            said = numbers(comment.split(":")[0].split(";")[0])
            num_comments += bool(said)
            assert contains(printed, said), (comment, printed)
    assert num_comments >= 4


def contains(printed, said):
    """Whether the numbers stand there beside each other."""
    printed = [x for x, _ in printed]
    return any(
        all(
            abs(one - other) <= limit
            for one, (other, limit) in zip(printed[i:], said, strict=False)
        )
        for i in range(len(printed) - len(said) + 1)
    )
