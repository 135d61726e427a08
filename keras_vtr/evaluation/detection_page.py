"""The page of a `DetectionReport`."""

from keras_vtr.evaluation.charts import CURVES
from keras_vtr.evaluation.charts import calibration_section
from keras_vtr.evaluation.charts import confusion_table
from keras_vtr.evaluation.charts import curve_chart
from keras_vtr.evaluation.charts import legend
from keras_vtr.evaluation.error_kinds import KINDS
from keras_vtr.evaluation.page import bar
from keras_vtr.evaluation.page import details
from keras_vtr.evaluation.page import element
from keras_vtr.evaluation.page import interval
from keras_vtr.evaluation.page import number
from keras_vtr.evaluation.page import page
from keras_vtr.evaluation.page import section
from keras_vtr.evaluation.page import table
from keras_vtr.evaluation.page import tiles
from keras_vtr.evaluation.pictures import COLORS
from keras_vtr.evaluation.pictures import picture_element

PRECISION = (
    "COCO's average precision, by pycocotools: the mean over the overlaps "
    "(IoU) 0.50 to 0.95. AP50 and AP75 are at one overlap; APs, APm and APl "
    "are of objects below 32² pixels, below 96² and above; AR, average recall, "
    "is the share found. A dash: there is no such object."
)
ERRORS = (
    "How much higher AP50 would be without one kind of error, in all "
    "detections (TIDE, Bolya et al. 2020), and how many errors there are at "
    "the best thresholds. Costs can't be added up: one error hides another."
)
THRESHOLDS = (
    "The best threshold is the one with the highest F1 at an overlap of 0.5. "
    "In parentheses: its 95 % interval, by bootstrap over the images. Unsure: "
    "fewer than 10 objects, or an interval wider than 0.3."
)
CONFUSION = (
    "Rows are true, columns found, at the best thresholds. A pair overlaps by "
    "0.5 or more, whatever its classes. Colors are shares of a row; blue is "
    "right."
)
CALIBRATION = (
    "Is a score of 0.8 right in 8 of 10 cases? Bars show the share of "
    "detections that have found an object, by score. Above the line the model "
    "is too modest, below it too sure."
)
WORST = (
    "At the best thresholds, the pictures with the highest sum of scores of a "
    "kind of error, or with the most missed objects."
)


def detection_page(report, title):
    """The text of the HTML file."""
    return page(
        title,
        _numbers(report),
        _errors(report),
        _precision(report),
        _thresholds(report),
        section(
            "What is taken for what",
            CONFUSION,
            confusion_table(
                report.confusion,
                report.display_names,
                "nothing there",
                "missed",
            ),
        ),
        calibration_section(report.calibration, CALIBRATION),
        _pictures(report.pictures),
    )


def _numbers(report):
    names = ("AP", "AP50", "AP75", "AR", "mask_AP", "mask_AP50")
    values = {
        name.replace("_", " "): number(report.precision[name])
        for name in names
        if name in report.precision
    }
    values["images"] = report.num_images
    values["objects"] = report.best.num_objects
    return tiles(values)


def _errors(report):
    costs = report.error_costs
    rows = [
        [
            kind,
            number(cost),
            bar(cost / max([1e-9, *costs.values()])),
            report.error_counts[kind],
            element("td", KINDS[kind], class_="text"),
        ]
        for kind, cost in costs.items()
    ]
    header = ["error", "costs AP50", "", "number", ""]
    return section("What costs most", ERRORS, table(header, rows))


def _precision(report):
    names = [*report.precision]
    rows = [
        [name, best.num_objects, *(number(values[x]) for x in names)]
        for name, best, values in zip(
            report.display_names,
            report.class_best,
            report.class_precision,
            strict=True,
        )
    ]
    if len(rows) > 1:
        means = (number(x) for x in report.precision.values())
        rows.append(["mean", report.best.num_objects, *means])
    header = ["class", "objects", *(x.replace("_", " ") for x in names)]
    return section("Average precision", PRECISION, table(header, rows))


def _thresholds(report):
    names, bests = report.display_names, report.class_best
    rows = [
        _threshold_row(name, best)
        for name, best in zip(names, bests, strict=True)
    ]
    if len(rows) > 1:
        rows.append(_threshold_row("one for all", report.best))
    header = ["class", "threshold", "F1", "precision", "recall", ""]
    charts = [
        curve_chart(values, best, name)
        for name, best, values in zip(names, bests, report.curves, strict=True)
        if best.num_objects
    ]
    charts = [legend(CURVES), element("div", *charts, class_="charts")]
    if len(names) > 12:
        charts = [
            details("Precision, recall and F1 over the threshold", *charts)
        ]
    return section("Thresholds", THRESHOLDS, table(header, rows), *charts)


def _threshold_row(name, best):
    return [
        name,
        interval(best.threshold, best.threshold_interval),
        interval(best.f1, best.f1_interval),
        number(best.precision, 2),
        number(best.recall, 2),
        element("td", _doubt(best), class_="text"),
    ]


def _doubt(best):
    if best.is_sure:
        return ""
    objects = f"{best.num_objects} object{'s' * (best.num_objects != 1)}"
    return f"unsure: {objects}" if best.num_objects < 10 else "unsure"


def _pictures(pictures):
    parts = []
    for kind, worst in pictures.items():
        if worst:
            parts += [
                element("h3", f"{kind}: {KINDS[kind]}"),
                element("div", *map(picture_element, worst), class_="pictures"),
            ]
    if not parts:
        return None
    keys = []
    for role, text in (
        ("true", "true (dashed)"),
        ("right", "found"),
        ("wrong", "the error"),
        ("other", "another error"),
    ):
        style = f"background: {COLORS[role]}"
        keys += [element("span", class_="key", style=style), text]
    keys = element("div", *keys, class_="soft")
    return section("The worst pictures", WORST, keys, *parts)
