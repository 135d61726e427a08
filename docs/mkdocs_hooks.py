"""What `mkdocs build` adds to the pages of docs/.

Pages are written for GitHub: links are relative to the file, and may lead to
any file of the repository. In the site README.md is the start page, and what
pages link to outside of docs/ stands at its path in the repository. llms.txt
lists the pages, and so is the navigation. Each public sub-package has a page
of its docstrings, which are read, never imported.
"""

import ast
import os
import pathlib
import posixpath
import re
import textwrap

import griffe
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
LLMS = ROOT / "docs" / "llms.txt"
# In Markdown and in HTML: what is before the target, the target, the anchor.
LINK = re.compile(
    r"""(\]\(|\b(?:src|srcset|href)=")\s*([^)\s#"]*)([^)\s"]*)\s*(?=[)"])"""
)
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^## (.+)$|^- \[(.+?)\]\((\S+?)\)", re.MULTILINE)
RETURNS = re.compile(r"^Returns:\n((?:(?:    .*)?\n)+)", re.MULTILINE)
DOCTEST = re.compile(r"(^>>> .*\n(?:.+(?:\n|$))*)", re.MULTILINE)


def on_config(config):
    """Makes the navigation of llms.txt, and of the public sub-packages."""
    config.nav = []
    for section, title, target in ENTRY.findall(
        LLMS.read_text(encoding="utf-8")
    ):
        if section:
            entries = []
            config.nav.append({section: entries})
        else:
            entries.append({title: in_site(posixpath.join("docs", target))})
    pages = [{f"keras_vtr.{x}": f"api/{x}.md"} for x in public_packages()]
    config.nav.insert(-1, {"API": pages})
    handlers = config.plugins["mkdocstrings"].config.handlers
    options = handlers["python"]["options"]
    options["extensions"] = [{str(pathlib.Path(__file__)): {}}]
    return config


def on_files(files, config):
    """Adds what pages link to outside of docs/, and the API's pages."""
    paths = ["README.md", "docs/llms.txt"]
    paths += [f"docs/{x.src_uri}" for x in files.documentation_pages()]
    for path in paths:  # grows
        source = ROOT / path
        if not path.startswith("docs/"):
            files.append(
                File.generated(config, in_site(path), abs_src_path=str(source))
            )
        if source.suffix in (".md", ".txt"):
            text = source.read_text(encoding="utf-8")
            for target in targets(text, path):
                if target not in paths and (ROOT / target).is_file():
                    paths.append(target)
    for name in public_packages():
        path = f"api/{name}.md"
        files.append(File.generated(config, path, content=page_of(name)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads the links of a page to where the site has their targets."""
    path = page.file.src_uri
    return markdown if path.startswith("api/") else moved(markdown, path)


def on_post_page(output, page, config):
    """Serves each page as Markdown, too, where llms.txt finds it."""
    path = pathlib.Path(config.site_dir, page.file.src_uri)
    if path.parent.name != "api":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.markdown, encoding="utf-8")
    return output


def on_post_build(config):
    text = moved(LLMS.read_text(encoding="utf-8"), "llms.txt")
    pathlib.Path(config.site_dir, "llms.txt").write_text(text, encoding="utf-8")


def in_site(path):
    """Where the site has a file of the repository."""
    path = posixpath.normpath(path)
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def in_repository(path):
    """Where the repository has a page of the site."""
    if path == "index.md":
        return "README.md"
    return f"docs/{path}" if (ROOT / "docs" / path).is_file() else path


def targets(text, path):
    """Files of the repository that a page links to."""
    folder = posixpath.dirname(path)
    found = [
        x[2] for part in FENCE.split(text)[::2] for x in LINK.finditer(part)
    ]
    return [
        posixpath.normpath(posixpath.join(folder, x))
        for x in found
        if x and ":" not in x
    ]


def moved(text, path):
    """The text of a page, with links for its place in the site."""
    folder = posixpath.dirname(in_repository(path))

    def move(match):
        begin, target, anchor = match.groups()
        if not target or ":" in target:
            return match.group()
        there = in_site(posixpath.join(folder, target))
        relative = os.path.relpath(there, posixpath.dirname(path) or ".")
        return f"{begin}{relative}{anchor}"

    parts = FENCE.split(text)
    parts[::2] = [LINK.sub(move, part) for part in parts[::2]]
    return "".join(parts)


def public_names(module):
    """What a module names in `__all__`, and where each is defined.

    A sub-package's name is its own place. A function may have the name of the
    module that it is in, so places are read from the imports.
    """
    names, places = [], {}
    path = ROOT.joinpath(*module.split("."), "__init__.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            names = ast.literal_eval(node.value)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                place = f"{node.module}.{alias.name}"
                places[alias.asname or alias.name] = place
    return {name: places.get(name, f"{module}.{name}") for name in names}


def public_packages():
    """The sub-packages that are public, in the order data flows."""
    package = ROOT / "keras_vtr"
    return [
        name
        for name in public_names("keras_vtr")
        if (package / name).is_dir() or (package / f"{name}.py").is_file()
    ]


def page_of(package):
    """The Markdown of a sub-package's docstrings."""
    module = f"keras_vtr.{package}"
    is_folder = (ROOT / "keras_vtr" / package).is_dir()
    shown = {"show_root_heading": "false", "show_root_toc_entry": "false"}
    shown |= {"members": "false"} if is_folder else {}
    page = f"# {module}\n\n{collected(module, shown)}"
    for name, place in public_names(module).items() if is_folder else ():
        page += collected(place, {"heading": name, "toc_label": name})
    return page


def collected(place, options):
    rows = "".join(f"      {x}: {y}\n" for x, y in options.items())
    return f"::: {place}\n    options:\n{rows}\n"


def rendered(docstring):
    """A docstring whose sections griffe shows as they are meant."""
    text = DOCTEST.sub(r"```pycon\n\1```\n", docstring + "\n")
    text = text.replace("Call arguments:", "Args: Call arguments:")
    # A shape is no type: "(B, N, D) tokens: left to right".
    return RETURNS.sub(
        lambda x: f"**Returns:**\n\n{textwrap.dedent(x[1])}", text
    )


class Docstrings(griffe.Extension):
    def on_instance(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = rendered(obj.docstring.value)
