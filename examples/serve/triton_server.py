"""Serves the folder of exported models with NVIDIA Triton, without Docker.

    python -m venv triton && . triton/bin/activate
    pip install nvidia-pytriton "numpy<2" tensorflow
    cp examples/serve/config.pbtxt savedmodels/digit_detr/
    python examples/serve/triton_server.py savedmodels

Triton is part of the package `nvidia-pytriton`, which wants an environment of
its own. Ready after 15 seconds: HTTP on 127.0.0.1:8000, gRPC on 8001. A new
version is loaded within a second of its appearance, and if it can't be, the
one before it goes on.
"""

import argparse
import importlib.util
import os
import pathlib
import shutil
import sys
import sysconfig
import tempfile

BACKEND = pathlib.Path(__file__).with_name("triton_backend")


def place():
    found = importlib.util.find_spec("pytriton")
    if found is None:
        sys.exit("Triton is not here: pip install nvidia-pytriton 'numpy<2'")
    return pathlib.Path(found.submodule_search_locations[0], "tritonserver")


def make_backends(triton):
    """Triton's Python backend for this Python, and ours."""
    backends = pathlib.Path(tempfile.mkdtemp(prefix="triton_backends_"))
    shutil.copytree(triton / "backends" / "python", backends / "python")
    version = "{}.{}".format(*sys.version_info)
    stub = triton / "python_backend_stubs" / version
    shutil.copy(stub / "triton_python_backend_stub", backends / "python")
    shutil.copytree(BACKEND, backends / "keras_vtr")
    return backends


def environment(triton):
    """Triton's process must find Python's library and this environment."""
    packages = triton.parent.parent
    libraries = (
        sysconfig.get_config_var("LIBDIR"),
        str(packages / "nvidia_pytriton.libs"),
    )
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PYTHONPATH": str(packages),
        "PATH": os.pathsep.join((f"{sys.prefix}/bin", os.environ["PATH"])),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--http-port", default="8000")
    parser.add_argument("--grpc-port", default="8001")
    arguments = parser.parse_args()
    triton = place()
    server = triton / "bin" / "tritonserver"
    command = [
        str(server),
        f"--model-repository={arguments.folder.resolve()}",
        f"--backend-directory={make_backends(triton)}",
        "--model-control-mode=poll",
        "--repository-poll-secs=1",
        "--http-address=127.0.0.1",
        f"--http-port={arguments.http_port}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={arguments.grpc_port}",
        "--allow-metrics=false",
    ]
    os.execve(server, command, environment(triton))


if __name__ == "__main__":
    main()
