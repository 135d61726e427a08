"""A server on this machine for one model and the page that asks it."""

import socket
import urllib.parse

from keras_vtr.json_text import json_text
from keras_vtr.serving.rest import predict
from keras_vtr.serving.viewer import viewer

HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 256 * 2**20  # several pictures of 32 MiB, in base64
MODEL = "/v1/models/<name>"
ADDRESSES = [
    (path + end, method, answer)
    for path in (MODEL, f"{MODEL}/versions/<int:version>")
    for end, method, answer in (
        ("", "GET", "status"),
        (":predict", "POST", "predict"),
    )
]


def check_server():
    """Refuses to serve if the server's package isn't installed.

    Raises:
        ImportError: If it is missing.
    """
    try:
        import werkzeug  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Serving needs Werkzeug: pip install werkzeug, or keras_vtr with "
            "its extra `serve`."
        ) from error


def listen(port=0):
    """A socket of this machine alone, before a model is loaded.

    Args:
        port: Its number, or 0 for a free one.

    Raises:
        OSError: If the port is taken.
    """
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise OSError(
            f"`port` must be a free one, or 0 for any. Received: port={port}: "
            f"{error}"
        ) from error


def make_server(model, listening):
    """A server with one thread a request.

    Args:
        model: A `keras_vtr.serving.rest.ServedModel`.
        listening: Of `listen`; it may be closed then.

    Returns:
        A `werkzeug.serving.BaseWSGIServer`: `serve_forever()`, `shutdown()`,
        `host` and `port`.
    """
    from werkzeug import serving

    class Silent(serving.WSGIRequestHandler):
        def log_request(self, code="-", size="-"):
            pass

    return serving.make_server(
        *listening.getsockname(),
        make_app(model),
        threaded=True,
        request_handler=Silent,
        fd=listening.fileno(),
    )


def make_app(model):
    """The WSGI application: TF Serving's REST interface, and the page at `/`.

    Args:
        model: A `keras_vtr.serving.rest.ServedModel`.
    """
    from werkzeug import Request
    from werkzeug import Response
    from werkzeug import exceptions
    from werkzeug import routing

    rules = [
        routing.Rule(path, methods=[method], endpoint=answer)
        for path, method, answer in [("/", "GET", "page"), *ADDRESSES]
    ]
    addresses = routing.Map(rules)
    answers = {"status": _status, "predict": _predict}

    def answer(request):
        name, values = addresses.bind_to_environ(request.environ).match()
        if name == "page":
            return _page(model, request, Response)
        asked = values["name"], values.get("version", model.version)
        if asked != (model.name, model.version):
            raise exceptions.NotFound(
                f"Servable not found for request: {request.path}. There is "
                f"{model.name}, version {model.version}."
            )
        return answers[name](model, request)

    @Request.application
    def app(request):
        request.max_content_length = MAX_REQUEST_BYTES
        request.trusted_hosts = [HOST, "localhost"]
        try:
            # Refuses others: pages could ask under a name that leads here.
            request.host  # noqa: B018
            found, status = answer(request), 200
        except routing.RequestRedirect as redirect:
            return redirect
        except exceptions.HTTPException as error:
            found, status = {"error": error.description}, error.code
        except ValueError as error:
            found, status = {"error": str(error)}, 400
        if isinstance(found, Response):
            return found
        text = json_text(found, indent=None)
        return Response(text, status, mimetype="application/json")

    return app


def _status(model, request):
    status = {"error_code": "OK", "error_message": ""}
    version = {"version": str(model.version), "state": "AVAILABLE"}
    return {"model_version_status": [{**version, "status": status}]}


def _predict(model, request):
    return predict(model, request.get_data())


def _page(model, request, response):
    if "model" in request.args:
        return response(viewer("server"), mimetype="text/html")
    query = {"model": model.name}
    # Where classes have thresholds, they choose.
    if model.config.get("score_threshold", 0) != 0:
        query["least"] = 0
    query = urllib.parse.urlencode(query)
    return response(status=302, headers={"Location": f"/?{query}"})
