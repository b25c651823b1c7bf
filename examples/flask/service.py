"""The service this repository began with, written anew with its faults: what a claim of evidence finds, and where, is in README.md.

Two processes share one listening socket, as under `gunicorn -w 2`, and each has counters of its own. A request is counted where it
is handled and once more in a hook; the path as it was asked for is the label; what a client writes wrong is called an error.
"""

import os
import signal
import sys
import threading
import time

from flask import Flask, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from werkzeug.serving import make_server

REQUESTS = Counter("app_requests_total", "Requests.", ["method", "endpoint", "http_status"])
LATENCY = Histogram("app_request_latency_seconds", "How long they took.", ["endpoint"])
ERRORS = Counter("app_errors_total", "Exceptions.")

app = Flask(__name__)
items = []


@app.before_request
def begin():
    request.began = time.monotonic()


@app.after_request
def count(answer):
    # The hook: whatever a handler counted is counted again. And the path is whatever was asked for.
    REQUESTS.labels(request.method, request.path, str(answer.status_code)).inc()
    LATENCY.labels(request.path).observe(time.monotonic() - request.began)
    return answer


@app.get("/")
def index():
    return jsonify(service="flask-original", status="ok")


@app.get("/items")
def listed():
    REQUESTS.labels("GET", "/items", "200").inc()
    return jsonify(items=items[-100:])


@app.post("/items")
def created():
    try:
        # What is no JSON raises here, and is answered as if the service had failed.
        item = request.get_json(force=True)
        items.append({"id": len(items) + 1, "name": item["name"]})
        del items[:-1000]
        REQUESTS.labels("POST", "/items", "201").inc()
        return jsonify(items[-1]), 201
    except Exception as error:
        ERRORS.inc()
        REQUESTS.labels("POST", "/items", "500").inc()
        return jsonify(error=str(error)), 500


@app.get("/items/<int:number>")
def one(number):
    return jsonify(id=number)


@app.get("/health/ready")
def ready():
    return jsonify(ready=True)


@app.get("/metrics")
def metrics():
    return generate_latest(), 200, {"Content-Type": CONTENT_TYPE_LATEST}


def work(listener, host, port, parent):
    """A worker: serves the shared socket until the process that made it is gone."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    make_server(host, port, app, threaded=True, fd=listener).serve_forever()


def main():
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    workers = int(os.environ.get("WORKERS", "2"))
    first = make_server(host, port, app, threaded=True)
    parent = os.getpid()
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            work(first.fileno(), host, port, parent)
            os._exit(0)
        children.append(child)

    def stop(*_):
        for child in children:
            os.kill(child, signal.SIGTERM)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    os.wait()
    stop()


if __name__ == "__main__":
    main()
