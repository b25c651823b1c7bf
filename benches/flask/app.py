"""A Flask service with the original's five routes and metrics, as a peer for `just bench-app`.

Written from the description of the original (its routes, metric names and JSON logs), with its defects left out: requests
are counted once, in the hook, and bodies are not logged. Under gunicorn with two workers, as the original ran; each
worker has a registry of its own, which is the original's defect that only another design can mend.
"""

import logging
import time

from flask import Flask, g, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pythonjsonlogger.json import JsonFormatter

handler = logging.StreamHandler()
handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
logging.basicConfig(level=logging.INFO, handlers=[handler])
log = logging.getLogger("app")

app = Flask(__name__)
REQUESTS = Counter("app_requests_total", "Requests.", ["method", "endpoint", "http_status"])
LATENCY = Histogram("app_request_latency_seconds", "Latency.", ["endpoint"])
ERRORS = Counter("app_errors_total", "Exceptions.")
items = []


@app.before_request
def begin():
    g.began = time.monotonic()


@app.after_request
def end(response):
    endpoint = request.url_rule.rule if request.url_rule else "unmatched"
    REQUESTS.labels(request.method, endpoint, response.status_code).inc()
    LATENCY.labels(endpoint).observe(time.monotonic() - g.began)
    log.info("request", extra={"method": request.method, "endpoint": endpoint, "status": response.status_code})
    return response


@app.teardown_request
def failed(error):
    if error is not None:
        ERRORS.inc()


@app.get("/")
def index():
    return jsonify(service="aiClipx-trial", status="ok")


@app.get("/items")
def list_items():
    return jsonify(items=items)


@app.post("/items")
def create_item():
    name = (request.get_json(silent=True) or {}).get("name")
    if not name:
        return jsonify(error="name is required"), 400
    item = {"id": len(items) + 1, "name": name}
    items.append(item)
    return jsonify(item), 201


@app.get("/health/live")
def live():
    return jsonify(live=True)


@app.get("/health/ready")
def ready():
    return jsonify(ready=True)


@app.get("/metrics")
def metrics():
    return generate_latest(), 200, {"Content-Type": CONTENT_TYPE_LATEST}
