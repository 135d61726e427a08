"""The license of weights, where their files name it."""

import re

README = "README.md"


def find_license(folder, files, config):
    """The license and the file that names it; None if none does.

    Args:
        folder: Of the weights.
        files: The `TensorFile`s.
        config: The `Configuration` of config.json.
    """
    named = [(file.license, file.path.name) for file in files]
    timm = config.peek("pretrained_cfg")
    timm = timm if isinstance(timm, dict) else {}
    for value in (config.peek("license"), timm.get("license")):
        named.append((value, config.place.name))
    named.append((_in_front_matter(folder / README), README))
    return next((f"{x} ({place})" for x, place in named if x), None)


def _in_front_matter(path):
    """From the lines of a hub's page before the text."""
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    matter = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    if matter is None:
        return None
    for key in ("license_name", "license"):
        pattern = rf"^{key}:\s*(?:-\s*)?([^\s#]+)"
        found = re.search(pattern, matter.group(1), re.MULTILINE)
        if found is not None:
            return found.group(1).strip("\"'")
    return None
