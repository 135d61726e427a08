import csv
import html.parser
import json
import re

import numpy as np
import pytest

from keras_vtr.evaluation import evaluate_detections
from keras_vtr.evaluation import evaluate_detector
from keras_vtr.evaluation.pictures import chosen_pictures
from keras_vtr.metrics import CocoAveragePrecision
from tests.evaluation.scenes import CAT
from tests.evaluation.scenes import found
from tests.evaluation.scenes import golden
from tests.evaluation.scenes import report
from tests.evaluation.scenes import true
from tests.tiny_models import batch
from tests.tiny_models import randomize
from tests.tiny_models import tiny_detr

BOX = (1, 1, 9, 9)
NAMES = ("<script>alert(1)</script>", '"quoted" & ü', None, "d")


class Page(html.parser.HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), "no script"
            if name in ("href", "src"):
                self.addresses.append(value)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_one_file_and_names_are_no_markup(tmp_path):
    pairs, _ = golden()
    images = [np.full((120, 120, 3), 4 * i) for i in range(len(pairs))]
    names = [f"{i}<img src=x>.png" for i in range(len(pairs))]
    options = {"images": images, "image_names": names, "num_pictures": 2}
    result = report(pairs, NAMES, **options)
    path = result.write(tmp_path / "new", title="<b>")
    text = path.read_text()
    page = Page(text)
    assert "script" not in page.tags and "img" not in page.tags
    assert "b" not in page.tags[: page.tags.index("section") - 20]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    # Two pictures of each of the six kinds, and nothing from elsewhere.
    assert len(page.addresses) == 12
    assert all(x.startswith("data:image/png;base64,") for x in page.addresses)
    assert not re.search(r"https?:|@import|url\(", text)
    again = report(pairs, NAMES, **options).write(tmp_path, title="<b>")
    assert again.read_text() == text
    check_numbers(path.parent, result)
    names = ["report.html", "evaluation.json", "evaluation.csv"]
    assert {x.name for x in path.parent.iterdir()} == {*names}


def check_numbers(folder, result):
    def refuse(value):
        raise AssertionError(f"{value} is no JSON")

    text = (folder / "evaluation.json").read_text()
    numbers = json.loads(text, parse_constant=refuse)
    assert numbers["AP"] == result.precision["AP"] and numbers["APl"] is None
    assert numbers["errors"]["missed"]["cost"] == result.error_costs["missed"]
    assert numbers["confusion"]["counts"] == result.confusion.tolist()
    assert numbers["curves"]["classes"][0]["precision"][-1] is None
    with open(folder / "evaluation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [NAMES[0], NAMES[1], "2", "d"]
    for row, best in zip(rows, result.class_best, strict=True):
        assert float(row["threshold"]) == best.threshold and row["APl"] == ""
    # A class without a name can't be told by it.
    assert result.thresholds_by_name == result.thresholds.tolist()


def test_a_model_is_evaluated_as_by_the_metric_and_its_pictures_are_shown(rng):
    detr = randomize(tiny_detr(class_names=["a", "b", "c"]))
    batches = [batch(rng, 3), batch(rng, 2)]
    result = evaluate_detector(detr, batches, num_pictures=5)
    metric = CocoAveragePrecision((16, 16))
    assert result.precision == pytest.approx(
        metric.evaluate(detr, batches), nan_ok=True
    )
    assert result.num_images == 5 and result.class_names == ("a", "b", "c")
    shown = {x.name: x for some in result.pictures.values() for x in some}
    assert shown and {*shown} <= {f"image {i}" for i in range(5)}
    images = np.concatenate([batches[0][0], batches[1][0]])
    for name, picture in shown.items():
        pixels = np.asarray(picture.picture)[..., :1]
        expected = images[int(name.split()[1])]
        np.testing.assert_array_equal(pixels, np.round(expected))
        assert picture.sides == (16, 16)
    with pytest.raises(ValueError, match="1 names, 5 images"):
        evaluate_detector(detr, batches, image_names=["one"])
    with pytest.raises(ValueError, match="same images at each pass"):
        evaluate_detector(detr, iter(batches))
    with pytest.raises(ValueError, match="2 names"):
        evaluate_detector(detr, batches, ["a", "b"])


def test_pictures_are_shown_without_padding(rng):
    images = rng.integers(0, 256, (2, 8, 10, 3)).astype("float32")
    mask = np.zeros((2, 8, 10), bool)
    mask[0, :5, :7] = mask[1] = True
    batches = [({"images": images, "padding_mask": mask}, {})]
    pictures = chosen_pictures(batches, {0, 1})
    assert [pictures[i].size for i in (0, 1)] == [(7, 5), (10, 8)]
    np.testing.assert_array_equal(pictures[0], images[0, :5, :7])
    assert chosen_pictures(batches, set()) == {}


def test_what_is_no_list_of_objects_is_refused():
    some, others = true((*BOX, CAT)), found((*BOX, CAT, 0.9))
    nan = found((*BOX[:3], np.nan, CAT, 0.9))
    for pair, options, message in (
        (([some], []), {}, "'true' and 'found' must be of the same images"),
        (([some], [others]), {"images": []}, "'images' must be of the same"),
        (([some], [others]), {"image_names": []}, "0 names, 1 images"),
        (([some], [nan]), {}, "must be finite"),
        (([some], [some]), {}, "scores"),
        (([true((*BOX, 3))], [others]), {}, "Labels|labels|Received: 3"),
        (([some], [found((*BOX, 3, 0.9))]), {}, "Received: .*3"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_detections(*pair, ["cat", "dog"], **options)
