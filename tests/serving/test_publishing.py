import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

from keras_vtr.serving import publishing
from keras_vtr.serving.publishing import publish

# The module without its packages, which import TensorFlow.
ALONE = """
import importlib.util, pathlib, sys, types
package = types.ModuleType("keras_vtr")
package.__path__ = [str(pathlib.Path(sys.argv[1]).parents[1])]
sys.modules["keras_vtr"] = package
found = importlib.util.spec_from_file_location("publishing", sys.argv[1])
publishing = importlib.util.module_from_spec(found)
found.loader.exec_module(publishing)
"""
# Version after version, each of eight files that are written slowly, forever.
WRITE_FOREVER = """
import time
def write(folder):
    for i in range(8):
        (folder / str(i)).mkdir()
        with open(folder / str(i) / "content", "wb") as file:
            file.write(bytes(100_000))
            time.sleep(0.005)
            file.write(bytes(100_000))
while True:
    publishing.publish(pathlib.Path(sys.argv[2]), None, write)
"""
WRITE_TOO_MUCH = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
publishing.publish(
    pathlib.Path(sys.argv[2]),
    None,
    lambda folder: (folder / "content").write_bytes(bytes(2000)),
)
"""


def write_one(folder):
    (folder / "content").write_text("complete")


def start(program, folder):
    return subprocess.Popen(
        [sys.executable, "-c", ALONE + program, publishing.__file__, folder],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_versions_count_up_and_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "a" / "model"
    assert publish(folder, None, write_one) == folder / "1"
    (folder / "7").mkdir()
    (folder / "notes").mkdir()
    assert publish(folder, None, write_one) == folder / "8"
    assert publish(folder, 3, write_one) == folder / "3"
    assert publish(str(folder), None, write_one) == folder / "9"
    for taken in (1, 7, 9):
        with pytest.raises(FileExistsError, match=r"Give another.*None for 10"):
            publish(folder, taken, write_one)
    names = {path.name for path in folder.iterdir()}
    assert names == {"1", "3", "7", "8", "9", "notes"}
    assert (folder / "9" / "content").read_text() == "complete"


@pytest.mark.parametrize("version", [0, -1, "1", 1.0])
def test_a_version_is_a_number(tmp_path, version):
    with pytest.raises(ValueError, match=f"Received: version={version!r}"):
        publish(tmp_path / "model", version, write_one)
    assert not (tmp_path / "model").exists()


def test_a_failed_write_leaves_nothing(tmp_path):
    def fail(folder):
        write_one(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        publish(tmp_path, None, fail)
    assert not list(tmp_path.iterdir())


def test_the_next_number_is_taken_when_another_was_faster(tmp_path):
    def write(folder):
        publish(tmp_path, None, write_one)
        (tmp_path / "2").write_text("not even a folder")
        write_one(folder)

    assert publish(tmp_path, None, write) == tmp_path / "3"
    with pytest.raises(FileExistsError):
        publish(tmp_path, 4, lambda _: publish(tmp_path, 4, write_one))
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "3", "4"]


def test_old_leftovers_of_killed_exports_are_removed(tmp_path):
    old, new = tmp_path / ".writing-old", tmp_path / ".writing-new"
    for path in (old, new):
        path.mkdir()
        write_one(path)
    os.utime(old, (0, 0))
    publish(tmp_path, None, write_one)
    assert not old.exists() and new.exists()


def test_others_may_read_what_is_published(tmp_path):
    path = publish(tmp_path, None, write_one)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_killed_export_shows_no_partial_version(tmp_path):
    random.seed(7)
    for _ in range(8):
        process = start(WRITE_FOREVER, tmp_path)
        end = time.monotonic() + random.uniform(0.3, 0.6)
        while time.monotonic() < end:
            check_visible(tmp_path)
        process.kill()
        process.communicate()
        check_visible(tmp_path)
    assert len(publishing.versions(tmp_path)) >= 4
    assert list(tmp_path.glob(".writing-*")), "no kill hit a write"
    assert publish(tmp_path, None, write_one).exists()


def check_visible(folder):
    """As TF Serving's poller: every numbered folder, at any moment."""
    for number in publishing.versions(folder):
        for i in range(8):
            path = folder / str(number) / str(i) / "content"
            assert path.stat().st_size == 200_000


def test_a_full_disk_leaves_nothing(tmp_path):
    process = start(WRITE_TOO_MUCH, tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 1 and "File too large" in errors
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder_is_refused_before_work_starts(tmp_path):
    def write(folder):
        pytest.fail("it began to work")

    tmp_path.chmod(0o500)
    is_root = os.geteuid() == 0
    if is_root:  # whom no mode stops
        for path in (tmp_path, *tmp_path.parents[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="model"):
            publish(tmp_path / "model", None, write)
    finally:
        if is_root:
            os.seteuid(0)
        tmp_path.chmod(0o700)
    with pytest.raises(OSError, match="proc"):
        publish(pathlib.Path("/proc/self/model"), None, write)


EXPORT = """
import resource, signal, sys
from keras_vtr.serving import export_detector
from tests.tiny_models import tiny_detr
model = tiny_detr()
if len(sys.argv) > 2:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
export_detector(model, sys.argv[1])
"""


def start_export(folder, *options):
    return subprocess.Popen(
        [sys.executable, "-c", EXPORT, folder, *options],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_full_disk_ends_an_export_without_a_trace(tmp_path):
    folder = tmp_path / "model"
    process = start_export(folder, "limited")
    _, errors = process.communicate()
    assert process.returncode == 1 and "too large" in errors, errors[-2000:]
    assert not list(folder.iterdir())


@pytest.mark.long
def test_exports_that_are_killed_show_nothing_and_the_next_one_works(tmp_path):
    num_kills = 8
    random.seed(7)
    folder = tmp_path / "model"
    for _ in range(num_kills):
        process = start_export(folder)
        before = set(folder.glob(".writing-*"))
        while set(folder.glob(".writing-*")) == before:
            assert process.poll() is None, process.stderr.read()[-2000:]
            time.sleep(0.02)
        time.sleep(random.uniform(0.0, 3.0))
        process.kill()
        process.communicate()
        assert not publishing.versions(folder)
    assert len(list(folder.glob(".writing-*"))) == num_kills
    process = start_export(folder)
    process.communicate()
    assert process.returncode == 0 and publishing.versions(folder) == [1]
