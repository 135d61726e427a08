"""The house rules that a machine can check."""

import ast
import doctest
import graphlib
import inspect
import pathlib
import re

import keras
import numpy as np
import PIL.Image
import pytest

import keras_vtr

PACKAGE = pathlib.Path(keras_vtr.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
DRAWING = sorted((ROOT / "docs").rglob("*.py"))

# Who may import whom; a sub-package may always import from itself.
ARROWS = {
    "class_names": set(),
    "classifiers": set(),
    "targets": set(),
    "box_ops": set(),
    "mask_ops": set(),
    "detection_checks": {"classifiers", "targets"},
    "detections": {
        "classifiers",
        "data",
        "detection_checks",
        "functional_models",
        "layers",
        "mask_ops",
        "upright",
    },
    "upright": set(),
    "functional_models": set(),
    "stages": set(),
    "layers": {"box_ops", "class_names", "classifiers"},
    "strict_model": set(),
    "backbones": {"functional_models", "layers", "stages", "strict_model"},
    "models": {
        "backbones",
        "class_names",
        "classifiers",
        "detections",
        "functional_models",
        "host_errors",
        "layers",
        "stages",
        "strict_model",
    },
    "pretrained": {"backbones", "classifiers", "layers", "models", "stages"},
    "optimizers": {"replicas", "stages"},
    "losses": {"box_ops", "classifiers", "mask_ops", "targets", "replicas"},
    "metrics": {
        "box_ops",
        "classifiers",
        "detection_checks",
        "detections",
        "host_errors",
        "optimizers",
        "targets",
    },
    "evaluation": {
        "class_names",
        "detection_checks",
        "detections",
        "host_errors",
        "json_text",
        "layers",
        "metrics",
        "targets",
        "visualization",
    },
    "callbacks": {
        "atomic_folder",
        "class_names",
        "detections",
        "json_text",
        "optimizers",
        "replicas",
        "targets",
        "version",
        "visualization",
    },
    "data": {
        "class_names",
        "host_errors",
        "json_text",
        "targets",
        "visualization",
    },
    "serving": {
        "atomic_folder",
        "backbones",
        "class_names",
        "classifiers",
        "data",
        "detection_checks",
        "detections",
        "functional_models",
        "json_text",
        "layers",
        "mask_ops",
        "version",
    },
    "atomic_folder": set(),
    "host_errors": set(),
    "json_text": set(),
    "replicas": set(),
    "visualization": {
        "class_names",
        "classifiers",
        "detection_checks",
        "functional_models",
        "layers",
        "stages",
        "targets",
        "upright",
    },
    "training": {
        "classifiers",
        "layers",
        "losses",
        "optimizers",
        "stages",
    },
    "command_line": {
        "backbones",
        "callbacks",
        "data",
        "detections",
        "evaluation",
        "host_errors",
        "json_text",
        "metrics",
        "models",
        "optimizers",
        "pretrained",
        "serving",
        "training",
        "visualization",
    },
    "__main__": {"command_line"},
    "version": set(),
}
# Guarded by the backend: where the matcher is compiled alone, where a sum over
# replicas is taken, and where additions are kept in order.
MAY_IMPORT_TENSORFLOW = {
    "callbacks",
    "command_line",
    "data",
    "serving",
    "losses/shortest_augmenting_path.py",
    "replicas.py",
    "training/determinism.py",
}
FORBIDDEN_WORDS = (
    "embed_dim|d_model|intermediate_dim|dim_feedforward|nhead|head_dim|"
    "enc_layers|dec_layers|img_size|bbox|posemb|query_embed|pre_norm|norm_first|"
    "drop_rate|key_padding_mask|bboxes|indices|eos_coef"
)
# Keys of other people's files, in the one place that reads or writes them.
FOREIGN_WORDS = {
    "timm/config.py": {"embed_dim", "img_size", "drop_rate", "pre_norm"},
    "detr/names.py": {"query_embed"},
    "detr/keys.py": {"d_model", "pre_norm"},
    "rf_detr/keys.py": {"d_model", "dec_layers"},
    "resnet/keys.py": {"drop_rate"},
    "formats/coco.py": {"bbox"},
    "formats/panoptic.py": {"bbox"},
    "metrics/coco_tables.py": {"bbox"},
    "evaluation/objects.py": {"bbox"},
}
# Rare or ambiguous words, and where they are the field's term after all.
RARE_WORDS = {
    r"spoil\w*|mend(s|ed|ing)?|judg\w*|anew|legible|key_padding_mask": (),
    r"(?<![Ss]tandard )deviation\w*": (),
    r"[Rr]ecipe\w*": ("training", "optimizers", "command_line"),
    r"[Cc]heckpoints?": (
        "callbacks",
        "command_line",
        "data",
        "optimizers",
        "training",
    ),
}
PUBLIC = [
    (package, name)
    for package in ("layers", "backbones", "models", "pretrained")
    + ("detections", "losses", "metrics", "optimizers", "data", "serving")
    + ("visualization", "training", "callbacks", "evaluation")
    for name in getattr(keras_vtr, package).__all__
    if not inspect.ismodule(getattr(getattr(keras_vtr, package), name))
] + [
    ("box_ops", "iou"),
    ("box_ops", "generalized_iou"),
    ("losses.matching", "assign"),
    ("losses.matching", "pairwise_cost"),
]


def public(package, name):
    found = keras_vtr
    for part in (*package.split("."), name):
        found = getattr(found, part)
    return found


def test_no_arrow_leads_back():
    list(graphlib.TopologicalSorter(ARROWS).static_order())


def imports(path):
    """Full names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path):
    """The sub-package or root module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_follow_the_arrows(path):
    own = place(path)
    if own == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "keras_vtr":
            assert parts[1] in ARROWS[own] | {own}, f"{own} imports {name}"
        if parts[0] == "tensorflow":
            relative = path.relative_to(PACKAGE).as_posix()
            assert {own, relative} & MAY_IMPORT_TENSORFLOW, path
        assert not name.startswith("keras.src"), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES + DRAWING, ids=lambda path: path.stem)
def test_files_and_functions_can_be_read_in_one_sitting(path):
    text = path.read_text()
    assert text.count("\n") <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            length = node.end_lineno - node.lineno + 1 - docstring.count("\n")
            most = 80 if node.name.startswith("build_") else 50
            assert length <= most, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_one_word_per_concept(path):
    found = set(re.findall(rf"\b({FORBIDDEN_WORDS})\b", path.read_text()))
    assert found <= FOREIGN_WORDS.get("/".join(path.parts[-2:]), set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_word_is_rare_or_means_two_things(path):
    for words, places in RARE_WORDS.items():
        if place(path) not in places:
            assert not re.search(rf"\b({words})\b", path.read_text()), words


def test_every_gelu_can_be_exported():
    """Keras's own, by name too, has `erfc` in it, which ONNX does not know."""
    allowed = {"activations", "feed_forward"}  # which looks the name up
    for path in (ROOT / "keras_vtr" / "layers").rglob("*.py"):
        text = path.read_text()
        assert path.stem in allowed or not re.search(r'"gelu|\.gelu\b', text)


def test_no_test_module_imports_another():
    pattern = re.compile(r"^ *(from|import) tests\b.*\btest_", re.MULTILINE)
    paths = sorted((ROOT / "tests").rglob("*.py"))
    assert len(paths) > 50
    for path in paths:
        assert not pattern.search(path.read_text()), path


def test_there_is_no_drawer_without_a_label():
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "common", "helpers", "misc", "core"}


@pytest.mark.parametrize("name", keras_vtr.layers.__all__)
def test_a_layer_documents_each_argument(name):
    layer_class = getattr(keras_vtr.layers, name)
    docstring = inspect.getdoc(layer_class)
    sections = ["Call arguments:", "Returns:", "Raises:", "Example:"]
    docstring = f"\n{docstring}\n"
    arguments = [
        argument
        for base in layer_class.__mro__
        if base.__module__.startswith("keras_vtr") and "__init__" in vars(base)
        for argument in inspect.signature(base.__init__).parameters
        if argument not in ("self", "args", "kwargs")
    ]
    if arguments:
        sections = ["Args:", *sections]
    positions = [docstring.find(f"\n{section}\n") for section in sections]
    assert -1 not in positions and positions == sorted(positions), sections
    assert "et al." in docstring, "names no source"
    called = inspect.signature(layer_class.call).parameters
    for argument in {*arguments, *called} - {"self", "training"}:
        assert re.search(rf"\n +{argument}: ", docstring), argument


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=lambda x: str(x))
def test_examples_in_docstrings_run(package, name):
    found = public(package, name)
    docstring = inspect.getdoc(found)
    is_error = inspect.isclass(found) and issubclass(found, Exception)
    if not is_error and inspect.signature(found).parameters:
        words = ("Args:", "Call arguments:", "arguments as in")
        assert any(word in docstring for word in words)
    names = {"keras": keras, "keras_vtr": keras_vtr, "np": np}
    names["Image"] = PIL.Image
    example = doctest.DocTestParser().get_doctest(
        docstring, names, name, None, 0
    )
    report = []
    doctest.DocTestRunner().run(example, out=report.append)
    assert not report, "".join(report)


def test_every_example_states_its_command_time_and_numbers():
    examples = ROOT / "examples"
    folders = (".", "claims", "distributed")
    found = {name: sorted(examples.glob(f"{name}/*.py")) for name in folders}
    assert all(found.values()), found
    for path in (x for paths in found.values() for x in paths):
        text = path.read_text()
        is_notebook = "# %%" in text  # with its texts
        assert text.count("\n") <= (250 if is_notebook else 120), path
        if "__main__" not in text:  # a part of others
            continue
        header = ast.get_docstring(ast.parse(text))
        assert f"python {path.relative_to(ROOT).as_posix()}" in header
        assert re.search(r"\d+ (seconds|minutes?)", header), "no time"


def collected_from(path):
    """Names of the tests that pytest collects from a file."""
    return {
        node.name
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_fault_has_its_test():
    table = (ROOT / "tests" / "README.md").read_text()
    rows = [x for x in table.splitlines() if x.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/\S*?test_\w+\.py)(?:::(\w+))?`", row)
        assert named and len(named) == row.count("`tests/"), row
        for path, function in named:
            found = collected_from(path)
            assert found and (not function or function in found), named


def test_what_the_code_imports_is_declared():
    import configparser

    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    declared = parser["options"]["install_requires"]
    extras = ("examples", "hub", "parity", "onnx", "litert", "openvino")
    for extra in (*extras, "serving", "serve"):
        declared += parser["options.extras_require"][extra]
    declared = set(re.findall(r"^[a-z0-9-]+", declared, re.MULTILINE))
    declared.add(parser["metadata"]["name"])
    import_names = {
        "PIL": "pillow",
        "yaml": "pyyaml",
        "sklearn": "scikit-learn",
        "ml_dtypes": "ml-dtypes",
        "huggingface_hub": "huggingface-hub",
        "ai_edge_litert": "ai-edge-litert",
        "keras_vtr_command": "keras-vtr",
        "tensorflow_serving": "tensorflow-serving-api",
    }
    import sys

    for path in MODULES:
        for name in imports(path):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top == "keras_vtr":
                continue
            assert import_names.get(top, top) in declared, f"{path}: {top}"
