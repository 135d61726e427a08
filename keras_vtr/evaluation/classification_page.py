"""The page of a `ClassificationReport`."""

from keras_vtr.evaluation.charts import calibration_section
from keras_vtr.evaluation.charts import confusion_table
from keras_vtr.evaluation.page import number
from keras_vtr.evaluation.page import page
from keras_vtr.evaluation.page import section
from keras_vtr.evaluation.page import table
from keras_vtr.evaluation.page import tiles

CLASSES = (
    "Precision is the share of the images found as a class that are right, "
    "recall the share of a class's images that are found, and F1 their "
    "harmonic mean. A dash: there is no such image."
)
CONFUSION = "Rows are true, columns found. Colors are shares of a row."
CALIBRATION = (
    "Is a probability of 0.8 right in 8 of 10 cases? Bars show the share of "
    "images that are right, by the probability of the class found. Above the "
    "line the model is too modest, below it too sure."
)
MISTAKES = "The wrong images of which the model is the most certain."


def classification_page(report, title):
    """The text of the HTML file."""
    keys = ("precision", "recall", "f1")
    classes = [
        [row["name"], row["num_images"], *(number(row[key]) for key in keys)]
        for row in report.rows()
    ]
    mistakes = [
        [x["image"], x["true"], x["found"], number(x["probability"], 2)]
        for x in report.mistakes()
    ]
    values = {
        "accuracy": number(report.accuracy),
        "images": len(report.labels),
        "classes": len(report.class_names),
        "calibration error": number(report.calibration.error),
    }
    header = ["class", "images", "precision", "recall", "F1"]
    matrix = confusion_table(report.confusion, report.display_names)
    return page(
        title,
        tiles(values),
        section("Classes", CLASSES, table(header, classes)),
        section("What is taken for what", CONFUSION, matrix),
        calibration_section(report.calibration, CALIBRATION),
        section(
            "The worst mistakes",
            MISTAKES,
            table(["image", "true", "found", "probability"], mistakes),
        ),
    )
