"""Triton as a process of its own, by examples/serve/triton_server.py."""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from tests.serving.conftest import SERVE

NAME = "detr"


def client():
    """The module examples/serve/client_triton.py."""
    path = SERVE / "client_triton.py"
    found = importlib.util.spec_from_file_location("client_triton", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def make_repository(folder, version):
    """A folder of models with one version of one of them."""
    model = folder / NAME
    model.mkdir(parents=True)
    shutil.copy(SERVE / "config.pbtxt", model)
    shutil.copytree(version, model / "1")
    return folder


class Triton:
    """A running server.

    Args:
        python: Path of a Python with `nvidia-pytriton` and TensorFlow.
        repository: Folder of models.
        log: Path of a file for what it prints.
    """

    def __init__(self, python, repository, log):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}/v2/models/{NAME}"
        program = SERVE / "triton_server.py"
        ports = ("--http-port", self.port, "--grpc-port", free_port())
        self.log = log
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                [str(x) for x in (python, program, repository, *ports)],
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )

    @property
    def url(self):
        return f"{self.base}/infer"

    def is_ready(self, version=None):
        part = "" if version is None else f"/versions/{version}"
        with contextlib.suppress(urllib.error.URLError, OSError):
            with urllib.request.urlopen(f"{self.base}{part}/ready"):
                return True
        return False

    def wait_until_ready(self, version=None, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.is_ready(version):
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise TimeoutError(self.log.read_text()[-3000:])

    def mebibytes(self):
        """Resident memory of the server and its model's process."""
        pages = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:  # its group
                    pages += int(fields[21])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
