"""A page that shows what a model finds in a picture, made of two parts.

page.html reads and draws; server.html and browser.html say who is asked.
"""

import pathlib

FOLDER = pathlib.Path(__file__).parent


def viewer(asked):
    """The page's HTML.

    Args:
        asked: "server", with TF Serving's REST interface; or "browser", which
            itself runs the model beside the page.
    """
    page, part = (
        (FOLDER / f"{name}.html").read_text(encoding="utf-8")
        for name in ("page", asked)
    )
    return page.replace("<!-- ask -->", part)
