"""One competitor of benchmarks/serving.py: a number of clients a line, and
back come requests per second and the latency's p50 and p99 in milliseconds."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from runtimes import THREADS
from runtimes import onnx_session
from runtimes import tensorflow

import numpy as np  # isort: skip  threads are set before
from PIL import Image  # isort: skip

FOLDER = pathlib.Path(os.environ.get("SERVING_FOLDER", "."))
EXAMPLES = pathlib.Path(__file__).parents[1] / "examples" / "serve"
MODELS = {"digit scenes": "digits", "DETR-R50 at 640 x 640": "resnet50"}
SECONDS = {"digit scenes": 5, "DETR-R50 at 640 x 640": 15}
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def digit_detector():
    import keras

    path = os.environ["DIGIT_DETR"]
    if path:
        import keras_vtr  # noqa: F401  its layers

        return keras.models.load_model(path)
    sys.path.insert(0, str(EXAMPLES.parent))
    from train_detr import build_model

    return build_model()


def resnet_detector():
    from detr_worker import write_weights

    import keras_vtr

    write_weights(str(FOLDER / "weights"))
    return keras_vtr.pretrained.from_pretrained(
        FOLDER / "weights",
        image_shape=(640, 640, 3),
        auxiliary_outputs=False,
        verbose=False,
    )


def prepare():
    """The models, exported, and a picture for each."""
    import keras
    import sklearn.datasets

    import keras_vtr

    scenes = keras_vtr.data.digit_scenes("held_out", batch_size=1, num_scenes=1)
    ((scene,), _) = next(scenes.as_numpy_iterator())
    keras.utils.array_to_img(scene, scale=False).save(FOLDER / "digits.png")
    photograph = sklearn.datasets.load_sample_image("china.jpg")
    Image.fromarray(photograph).save(FOLDER / "resnet50.jpg", quality=90)
    detectors = {"digits": digit_detector(), "resnet50": resnet_detector()}
    for name, detector in detectors.items():
        detector.save(FOLDER / f"{name}.keras")
        export = keras_vtr.serving.export_detector
        names = list(map(str, range(detector.num_classes)))
        export(detector, FOLDER / "models" / name, class_names=names)
        export(detector, FOLDER / "onnx" / name, format="onnx")
        config = (EXAMPLES / "config.pbtxt").read_text()
        (FOLDER / "models" / name / "config.pbtxt").write_text(config)


def picture(task):
    (path,) = FOLDER.glob(f"{MODELS[task]}.[jp][pn]g")
    return path.read_bytes()


def saved_model(task):
    tf = tensorflow()
    loaded = tf.saved_model.load(FOLDER / "models" / MODELS[task] / "1")
    predict = loaded.signatures["serving_default"]

    def ask(image_bytes, loaded=loaded):
        return predict(image_bytes=tf.constant([image_bytes]))["boxes"].numpy()

    return ask


def triton(task):
    sys.path.insert(0, str(EXAMPLES))
    from client_triton import ask

    port = 18_000 + os.getpid() % 1000
    program = [os.environ["TRITON_PYTHON"], EXAMPLES / "triton_server.py"]
    ports = ["--http-port", port, "--grpc-port", port + 1000]
    start_server([*program, FOLDER / "models", *ports])
    url = f"http://127.0.0.1:{port}/v2/models/{MODELS[task]}/infer"
    return lambda image_bytes: ask(url, [image_bytes])


def start_server(command):
    """A process that ends with this one."""
    code = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9);"
    code += "os.execv(sys.argv[1], sys.argv[1:])"
    command = [str(x) for x in command]
    subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def read(image_bytes, sides, mode):
    """(1, height, width, C) float32, as Pillow makes it, and the sides."""
    image = Image.open(io.BytesIO(image_bytes)).convert(mode)
    pixels = np.asarray(image.resize(sides, Image.BILINEAR), "float32")
    return pixels.reshape(1, sides[1], sides[0], -1), image.size


def our_onnx(task):
    name = MODELS[task]
    run = onnx_session(FOLDER / "onnx" / name / "1" / "model.onnx")
    side, mode = (64, "L") if name == "digits" else (640, "RGB")
    return lambda image_bytes: run(read(image_bytes, (side, side), mode)[0])


def normalized(pixels):
    return ((pixels - MEAN) / DEVIATION).astype("float32").transpose(0, 3, 1, 2)


def detections(logits, boxes, size):
    scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = (scores / scores.sum(axis=-1, keepdims=True))[:, :-1]
    center, sides = boxes[:, :2], boxes[:, 2:]
    corners = np.concatenate([center - sides / 2, center + sides / 2], axis=1)
    return scores.max(axis=1), scores.argmax(axis=1), corners * (size * 2)


def fastapi(task):
    import urllib.request

    port = 16_000 + os.getpid() % 1000
    os.environ["DETR_WEIGHTS"] = str(FOLDER / "weights")
    program = [sys.executable, __file__, "serve transformers", port]
    start_server(program)

    def ask(image_bytes):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/detect", image_bytes
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    return ask


def serve_transformers(port):
    """transformers on torch behind a FastAPI of a few lines."""
    import torch
    import uvicorn
    from detr_worker import torch_model
    from fastapi import FastAPI
    from fastapi import Request

    model, _ = torch_model("640 x 640")
    model.config.auxiliary_loss = False
    model.eval()
    torch.set_num_threads(THREADS)
    app = FastAPI()

    def detect(image_bytes):
        pixels, size = read(image_bytes, (640, 640), "RGB")
        with torch.inference_mode():
            found = model(torch.from_numpy(normalized(pixels)))
        logits, boxes = found.logits[0].numpy(), found.pred_boxes[0].numpy()
        scores, labels, boxes = detections(logits, boxes, size)
        keys = ("scores", "labels", "boxes")
        values = (x.tolist() for x in (scores, labels, boxes))
        return dict(zip(keys, values, strict=True))

    @app.post("/detect")
    async def respond(request: Request):
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(detect, await request.body())

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")


def stages():
    """What each stage costs, one image at a time."""
    tf = tensorflow()
    import keras

    import keras_vtr
    from keras_vtr.data.pictures.preparation import resized

    print(
        "\n| milliseconds | decode | resize | model | post-processing | all |"
    )
    print("|---|---|---|---|---|---|")
    for task, name in MODELS.items():
        model = keras.models.load_model(FOLDER / f"{name}.keras")
        model = keras_vtr.backbones.fold_norms(model)
        *sides, channels = model.input_shape[1:]
        resize = resized(keras.layers.Resizing(*sides, antialias=True))
        image_bytes = picture(task)
        image = keras_vtr.data.decode_image(image_bytes, channels)
        pixels = resize(image)[None]
        outputs = model(pixels)
        steps = [
            (
                lambda x, n=channels: keras_vtr.data.decode_image(x, n),
                image_bytes,
            ),
            (resize, image),
            (lambda x, model=model: model(x, training=False), pixels),
            (
                lambda x, image=image: keras_vtr.detections.decode_detections(
                    x, image.shape
                ),
                outputs,
            ),
        ]
        graphs = [(tf.function(f), x) for f, x in steps]
        calls = [lambda f=f, x=x: f(x) for f, x in graphs]
        whole = saved_model(task)
        calls.append(
            lambda image_bytes=image_bytes, ask=whole: ask(image_bytes)
        )
        times = np.array([[milliseconds(f) for f in calls] for _ in range(22)])
        cells = [f"{x:.1f}" for x in np.median(times[2:], axis=0)]
        print(f"| {task} | {' | '.join(cells)} |")


def milliseconds(call):
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


def load(ask, image_bytes, num_clients, seconds):
    """Requests per second, p50 and p99 in milliseconds."""
    begin, times = time.perf_counter(), []

    def client():
        while time.perf_counter() < begin + seconds:
            times.append(milliseconds(lambda: ask(image_bytes)))

    threads = [threading.Thread(target=client) for _ in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.perf_counter() - begin)
    return rate, *np.percentile(times, (50, 99))


WORKERS = {
    "keras_vtr, SavedModel in process": saved_model,
    "keras_vtr, SavedModel under Triton": triton,
    "ONNX Runtime, our ONNX, in process": our_onnx,
    "transformers on torch, FastAPI": fastapi,
}


def main():
    name, task = sys.argv[1:]
    ask, image_bytes = WORKERS[name](task), picture(task)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # the server is not up yet
            ask(image_bytes)
            break
        time.sleep(0.5)
    load(ask, image_bytes, 4, 3)
    print("ready", flush=True)
    for line in sys.stdin:
        found = load(ask, image_bytes, int(line), SECONDS[task])
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    elif sys.argv[1] == "stages":
        stages()
    elif sys.argv[1] == "serve transformers":
        serve_transformers(sys.argv[2])
    else:
        main()
