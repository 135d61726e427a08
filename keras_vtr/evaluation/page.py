"""One HTML file without a reference to another one.

Pages are trees of elements, and their text is escaped when they are written:
names of classes and files can't become markup.
"""

import math
import xml.etree.ElementTree as trees

STYLE = """
:root { --ink: #1b1f24; --soft: #667080; --line: #dde2e8; --card: #fff;
  --ground: #f4f6f8; --blue: #2563c9; --orange: #d9601a; --green: #17834a;
  --heat: 37, 99, 201; --warm: 217, 96, 26; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4;
  --line: #333b46; --card: #1c2128; --ground: #12161b; --blue: #6ea3f5;
  --orange: #f0935a; --green: #53c48a; --heat: 90, 145, 240;
  --warm: 240, 147, 90; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 66rem; color: var(--ink);
  background: var(--ground); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .4rem 0 1rem; }
h2 { font-size: 1.1rem; margin: 0 0 .2rem; }
h3 { font-size: .95rem; margin: 1.1rem 0 .4rem; }
section { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 1rem 1.1rem; margin: 0 0 1rem; }
p { margin: .2rem 0 .7rem; color: var(--soft); max-width: 46rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0 0 1rem; }
.tile { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: .5rem .9rem; min-width: 6rem; flex: 1; }
.tile b { display: block; font-size: 1.35rem; font-weight: 600; }
.tile span, .soft { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--card); padding-left: 0; }
td.text { text-align: left; color: var(--soft); }
td.bar { width: 30%; min-width: 7rem; }
td.bar div { height: .8rem; border-radius: 3px; background: var(--orange); }
.matrix td, .matrix th { text-align: center; border: 0; padding: .25rem .45rem;
  min-width: 2.1rem; }
.matrix th:first-child { text-align: left; }
.charts { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); }
.pictures { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
.chart { max-width: 26rem; }
.wide { max-width: 30rem; }
.key { display: inline-block; width: .9rem; height: .25rem; margin: 0 .3rem
  .2rem .9rem; border-radius: 2px; }
summary { cursor: pointer; color: var(--blue); }
"""


def element(tag, *children, **attributes):
    """An element; texts among its children are escaped when it is written.

    Args:
        tag: Its name.
        *children: Elements, texts and numbers; None is left out.
        **attributes: `class_` stands for class, and other `_` for "-".
    """
    found = trees.Element(tag)
    for name, value in attributes.items():
        name = "class" if name == "class_" else name.replace("_", "-")
        found.set(name, str(value))
    for child in children:
        if child is None:
            continue
        if isinstance(child, trees.Element):
            found.append(child)
        elif len(found):
            found[-1].tail = (found[-1].tail or "") + str(child)
        else:
            found.text = (found.text or "") + str(child)
    return found


def page(title, *children):
    """The text of an HTML file."""
    # Written as HTML a style is not escaped, as browsers expect.
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta",
            name="viewport",
            content="width=device-width, initial-scale=1",
        ),
        element("title", title),
        element("style", STYLE),
    )
    body = element("body", element("h1", title), *children)
    html = element("html", head, body, lang="en")
    return "<!DOCTYPE html>\n" + trees.tostring(
        html, encoding="unicode", method="html"
    )


def section(title, text, *children):
    """A part of a page, with a heading and what it is about."""
    return element(
        "section", element("h2", title), element("p", text), *children
    )


def tiles(values):
    """The most important numbers, from a dict of names."""
    return element(
        "div",
        *(
            element(
                "div", element("b", x), element("span", name), class_="tile"
            )
            for name, x in values.items()
        ),
        class_="tiles",
    )


def table(header, rows, class_=""):
    """A table that can be scrolled aside; cells are texts or `td` elements."""
    rows = [
        element(
            "tr",
            *(
                x
                if isinstance(x, trees.Element) and x.tag in ("td", "th")
                else element("td", x)
                for x in row
            ),
        )
        for row in rows
    ]
    top = element("tr", *(element("th", x) for x in header))
    return element(
        "div",
        element(
            "table",
            element("thead", top),
            element("tbody", *rows),
            class_=class_,
        ),
        class_="scroll",
    )


def bar(share):
    """A cell with a bar of this share of its width."""
    share = 0.0 if math.isnan(share) else min(max(share, 0.0), 1.0)
    return element(
        "td", element("div", style=f"width: {share:.1%}"), class_="bar"
    )


def details(title, *children):
    """A part that is closed at first."""
    return element("details", element("summary", title), *children)


DASH = "\N{EN DASH}"


def number(value, digits=3):
    """A number as text; a dash for NaN."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def interval(value, low_and_high, digits=2):
    """A number and its interval as text."""
    if math.isnan(value):
        return DASH
    low, high = (number(x, digits) for x in low_and_high)
    return f"{number(value, digits)} ({low} to {high})"
