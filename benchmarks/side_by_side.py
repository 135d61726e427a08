"""Competitors as processes of their own, asked in turn.

Each runs in its own environment (`--python name=path`; without one, the
environment that runs this); all of them are started first, then asked round
after round, so that the machine's drift meets all. One prints what each took
relative to the first: the median over rounds of the ratio within a round. Who
can't start is named.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time


class Competitor:
    """A process that answers each line with what it measured, in JSON."""

    def __init__(self, command):
        # A file: nobody reads while it runs, and a full pipe would stop it.
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def wait_until_ready(self, seconds=3600.0):
        """What keeps it from running, None if nothing does."""
        timer = threading.Timer(seconds, self.process.kill)
        begin = time.monotonic()
        timer.start()
        line = self.process.stdout.readline().strip()
        timer.cancel()
        if line == "ready":
            return None
        if time.monotonic() - begin >= seconds:
            return f"not ready within {seconds:.0f} seconds"
        self.process.kill()
        self.errors.seek(0)
        errors = self.errors.read().strip().splitlines()
        return errors[-1] if errors else "no answer"

    def ask(self, line="go"):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()


def start(worker, task, names, pythons):
    """Starts competitors, one after the other.

    Args:
        worker: Path of the script that each one runs.
        task: Its second argument; the first one is the competitor's name.
        names: Competitor to the name of the environment that it needs.
        pythons: Name of an environment to the path of its Python.

    Returns:
        Name to competitor, and name to what keeps the others from running.
    """
    running, absent = {}, {}
    for name, environment in names.items():
        python = pythons.get(environment, sys.executable)
        competitor = Competitor([python, str(worker), name, task])
        problem = competitor.wait_until_ready()
        if problem is None:
            running[name] = competitor
        else:
            absent[name] = problem
    return running, absent


def compare(worker, task, names, pythons, num_rounds):
    """Prints a table of milliseconds.

    Args:
        worker: Path of the script that calls `answer`.
        task: As for `start`.
        names: Likewise.
        pythons: Likewise.
        num_rounds: How often each is asked.
    """
    running, absent = start(worker, task, names, pythons)
    times = {name: [] for name in running}
    for _ in range(num_rounds):
        for name, competitor in running.items():
            times[name].append(competitor.ask())
    for competitor in running.values():
        competitor.close()
    base = next(iter(times.values()))
    print(f"\n| {task} | milliseconds | relative |\n|---|---|---|")
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, base, strict=True)]
        median = statistics.median(values)
        print(f"| {name} | {median:.0f} | {statistics.median(ratios):.2f} |")
    for name, problem in absent.items():
        print(f"| {name} | absent: {problem[:80]} | |")
    sys.stdout.flush()


def answer(workers):
    """A competitor's side: ready, then a call for each line."""
    name, task = sys.argv[1:]
    call = workers[name](task)
    for _ in range(2):
        call()
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        call()
        print(1e3 * (time.perf_counter() - begin), flush=True)
