"""What the experiments share: seeds, the table, the picture.

    python examples/claims/positions.py --short

runs its first and last variant with a five-hundredth of the budget.
Expect a table whose numbers mean nothing: it only shows that the program runs.
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib
import pandas

matplotlib.use("Agg")
from matplotlib import pyplot

RESULTS = pathlib.Path(__file__).parent / "results"


def run(script, variants, measure, *, steps, values, drawn=1, x=None, log=""):
    """Measures each variant with each seed; prints a table, draws a picture.

    Writes `results/NAME.csv`, every single run, and `results/NAME.png`; with
    `--short`, of the first and last variant, into a temporary folder.

    Args:
        script: `__file__` of the experiment.
        variants: Dict of a variant's name to the arguments of `measure`.
        measure: Function of `seed`, `steps` and a variant's arguments. It
            returns rows: dicts of `values`, and of `x` if there is one.
        steps: The budget, the same for each run.
        values: Names of what is measured.
        drawn: How many of them the picture shows.
        x: What the rows of one run differ in, the picture's horizontal axis.
        log: Which axes are logarithmic, "x" or "xy".
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--short", action="store_true")
    arguments = parser.parse_args()
    seeds, folder = arguments.seeds, RESULTS
    if arguments.short:
        seeds, steps = [0], max(1, steps // 500)
        variants = dict(list(variants.items())[:: len(variants) - 1])
        folder = pathlib.Path(tempfile.mkdtemp())
    path, rows = folder / pathlib.Path(script).stem, []
    for seed in seeds:
        for variant, settings in variants.items():
            keras.utils.set_random_seed(seed)
            for row in measure(seed=seed, steps=steps, **settings):
                rows.append({"variant": variant, "seed": seed, **row})
                print(rows[-1], flush=True)
            keras.backend.clear_session()
        # After each seed, so that a run that is broken off leaves something.
        pandas.DataFrame(rows).to_csv(path.with_suffix(".csv"), index=False)
    frame = pandas.DataFrame(rows)
    print("\n" + table(frame, values, x))
    figure = draw(frame, values[:drawn], x, log)
    figure.savefig(path.with_suffix(".png"), dpi=100)
    print(f"\n{path}.csv, {path}.png")


def table(frame, values, x=None):
    """Mean over the seeds, smallest and largest in brackets, as Markdown."""
    keys = ["variant"] if x is None else ["variant", x]
    titles = keys + values
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for key, group in frame.groupby(keys, sort=False):
        cells = [str(part) for part in key]
        cells += [spread(group[value]) for value in values]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(numbers):
    if numbers.isna().all():
        return ""
    least, mean, most = numbers.min(), numbers.mean(), numbers.max()
    digits = 3 if most < 10 else 0
    if least == most:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def draw(frame, values, x=None, log=""):
    """A dot for each run; means as bars, or as lines over `x`."""
    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axis.grid(alpha=0.3)
    names = list(frame["variant"].unique())
    for i, name in enumerate(names):
        group = frame[frame["variant"] == name]
        color = f"C{i}"
        if x is None:
            runs = group[values[0]]
            axis.barh(i, runs.mean(), color=color, alpha=0.4)
            axis.plot(runs, [i] * len(runs), "o", color=color)
            continue
        for value, style in zip(values, ("o-", "s--", "^:"), strict=False):
            found = group.dropna(subset=[value])
            mean = found.groupby(x, sort=False)[value].mean()
            label = name if len(values) == 1 else f"{name}: {value}"
            axis.plot(mean.index, mean, style, color=color, label=label)
            axis.plot(found[x], found[value], style[0], color=color, alpha=0.3)
    if x is None:
        axis.set(yticks=range(len(names)), yticklabels=names, xlabel=values[0])
        axis.invert_yaxis()
        return figure
    axis.set(xlabel=x, ylabel=values[0])
    axis.set_xscale("log" if "x" in log else "linear")
    axis.set_xticks(frame[x].unique(), frame[x].unique())
    axis.minorticks_off()
    axis.set_yscale("log" if "y" in log else "linear")
    axis.legend()
    return figure
