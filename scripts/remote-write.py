#!/usr/bin/env python3
"""scripts/remote-write.py TOOL: a stack that also writes to a real VictoriaMetrics, which is away for a minute while there is traffic.

Then what the store has is held against the ledger of the traffic, to the request, by its raw samples and by its own increase();
and against every sample of the service that Prometheus has. The alert on what is late must fire and resolve, and the receiver
must be told both; nothing may be refused or dropped; and the password with which Prometheus writes may stand in no command line,
no file of the stack and no bundle. Without VictoriaMetrics on PATH it says NOT RUN and passes. Takes some three minutes. Exit
codes: 0 as it should be, 1 something is not, 2 the stack can't be had.
"""

import base64
import collections
import http.client
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

SPEED = 30
# Seconds of this stack: of traffic; from its beginning until the store goes; that it is away.
TRAFFIC, BEFORE, AWAY = 100, 20, 60
# Longer than anything takes; reaching it is a failure, not a measurement.
LIMIT = 180
PROGRAMS = ["victoria-metrics", "victoria-metrics-prod"]
USER, PASSWORD = "aiclipx", "hunter2-written-elsewhere"
ALERT = "PrometheusRemoteWriteBehind"
COUNTED = 'app_requests_total{endpoint!~"/(metrics|health/.*)"}'
# VictoriaMetrics keeps numbers as decimals: whole ones to the last digit, others to twelve digits and more.
SAME = 1e-12


def say(text):
    print(f"remote-write: {text}", file=sys.stderr, flush=True)


def get(address, path, query=None, password=None, lines=False):
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    headers = {}
    if password:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
    try:
        connection.request("GET", f"{path}?{urllib.parse.urlencode(query or {})}", headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise OSError(f"{path} answers {answer.status}: {body[:300]}")
    finally:
        connection.close()
    return [json.loads(line) for line in body.splitlines()] if lines else json.loads(body)


class Store:
    """VictoriaMetrics at one address, with one folder of data."""

    def __init__(self, program, folder, password_file):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.command = [
            program,
            f"-storageDataPath={folder}/store",
            f"-httpListenAddr={self.address}",
            f"-httpAuth.username={USER}",
            f"-httpAuth.password=file://{password_file}",
            "-retentionPeriod=1y",
        ]
        self.log = open(f"{folder}/store.log", "ab")
        self.process = None
        self.starts()

    def starts(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        until("the store answers", self.answers)

    def answers(self):
        try:
            return get(self.address, "/api/v1/status/tsdb", password=PASSWORD)["status"] == "success"
        except (OSError, http.client.HTTPException):
            return False

    def ends(self):
        """In order: what it has taken it keeps."""
        if self.process:
            self.process.terminate()
            self.process.wait(LIMIT)
            self.process = None

    def raw(self, selector):
        """Every sample, by labels: {time: value}."""
        query = {"match[]": selector, "reduce_mem_usage": 1}
        series = {}
        for line in get(self.address, "/api/v1/export", query, PASSWORD, lines=True):
            series.setdefault(labelled(line["metric"]), {}).update(numbers(zip(line["timestamps"], line["values"])))
        return {labels: samples for labels, samples in series.items() if samples}

    def query(self, expression):
        # By itself it answers as of half a minute ago.
        query = {"query": expression, "latency_offset": "1ms", "nocache": 1}
        return get(self.address, "/api/v1/query", query, PASSWORD)["data"]["result"]


# What each sample gets on its way to the store.
EXTERNAL = {"stack", "replica", "speed"}


def numbers(samples):
    """Without what is no number, which VictoriaMetrics keeps of the ends of series alone, and Prometheus' API of all but those."""
    return {at: float(value) for at, value in samples if value is not None and not math.isnan(float(value))}


def labelled(metric):
    return tuple(sorted((name, value) for name, value in metric.items() if name not in EXTERNAL))


class Stack:
    def __init__(self, tool, folder, store, password_file):
        self.tool, self.state = tool, f"{folder}/state"
        command = [tool, "up", "--state", self.state, "--speed", str(SPEED), "--free-ports"]
        command += ["--remote-write", f"http://{store.address}/api/v1/write"]
        command += ["--remote-write-user", USER, "--remote-write-password-file", password_file]
        up = subprocess.run(command, capture_output=True, text=True)
        if up.returncode != 0:
            say(f"the stack did not start:\n{up.stderr}")
            raise SystemExit(2)
        with open(f"{self.state}/stack.json") as file:
            addresses = json.load(file)["addresses"]
        self.prometheus = addresses["prometheus"]
        self.labels = addresses["remote_write"]["labels"]

    def query(self, expression):
        return get(self.prometheus, "/api/v1/query", {"query": expression})["data"]["result"]

    def value(self, expression):
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else None

    def raw(self, selector):
        series = {}
        for one in self.query(f"{selector}[15m]"):
            series[labelled(one["metric"])] = numbers((round(at * 1000), value) for at, value in one["values"])
        return {labels: samples for labels, samples in series.items() if samples}

    def firing(self):
        alerts = get(self.prometheus, "/api/v1/alerts")["data"]["alerts"]
        return ALERT in {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def told(self):
        """In which states the receiver was told of the alert."""
        states = []
        with open(f"{self.state}/notifications.jsonl") as file:
            for line in file:
                if ALERT in line:
                    states.append("resolved" if '"status":"resolved"' in line.replace(" ", "") else "firing")
        return states

    def ends(self):
        down = subprocess.run([self.tool, "down", "--state", self.state], capture_output=True, text=True)
        if down.returncode != 0:
            say(f"down: {down.stderr}")


def until(what, holds, limit=LIMIT):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.2)
    raise AssertionError(f"not within {limit} s: {what}")


def ledger(file):
    """How many requests were answered, by what the service counts them by."""
    counts = collections.Counter()
    with open(file) as lines:
        head = json.loads(next(lines))
        for line in map(json.loads, lines):
            if line["outcome"] != "answered":
                raise AssertionError(f"a request was not answered: {line}")
            counts[(line["method"], line["endpoint"], str(line["status"]))] += 1
    if sum(counts.values()) != head["scheduled"] or not counts:
        raise AssertionError(f"{sum(counts.values())} of {head['scheduled']} requests are in the ledger")
    return counts


def of_requests(metric):
    metric = dict(metric)
    return metric["method"], metric["endpoint"], metric["http_status"]


def growth(series):
    """How much each counter grew from its first sample to its last; what did not is left out."""
    grown = {of_requests(labels): int(values[max(values)] - values[min(values)]) for labels, values in series.items()}
    return {key: count for key, count in grown.items() if count}


def same_samples(stored, written):
    """Where two stores differ, and how many samples were compared."""
    differences, compared = [], 0
    if stored.keys() != written.keys():
        differences.append(f"{len(stored)} series here, {len(written)} there")
    for labels, samples in stored.items():
        there = written.get(labels, {})
        if samples.keys() != there.keys():
            lacks, more = len(samples.keys() - there.keys()), len(there.keys() - samples.keys())
            differences.append(f"{labels}: {lacks} samples are missing there, {more} are more")
        for at in samples.keys() & there.keys():
            compared += 1
            differs = abs(samples[at] - there[at])
            if differs > (0 if samples[at].is_integer() else SAME * abs(samples[at])):
                differences.append(f"{labels} at {at}: {samples[at]!r} here, {there[at]!r} there")
    return differences, compared


def holders(folder, text):
    """Files below a folder, and command lines, in which a text stands."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if text.encode() in file.read():
                        found.append(path)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ["cmdline", "environ"]:
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    if text.encode() in file.read():
                        found.append(f"/proc/{pid}/{name}")
            except OSError:
                pass
    return found


class Checks:
    def __init__(self):
        self.failed = 0

    def holds(self, what, right, wrong=""):
        print(f"{'✓' if right else '✗'} {what}" + ("" if right else f": {wrong}"), flush=True)
        self.failed += not right


def lived(tool, folder, stack, store, checks):
    # A sample of each counter from before the first request.
    until("the first samples are in the store", lambda: store.raw(COUNTED))
    book = f"{folder}/ledger.jsonl"
    command = [tool, "traffic", "request-rate", "--state", stack.state, "--duration", f"{TRAFFIC}s", "--ledger", book]
    traffic = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(BEFORE)
        store.ends()
        say(f"the store is away for {AWAY} s, half an hour of production")
        gone, fired = time.monotonic(), None
        while time.monotonic() < gone + AWAY:
            if fired is None and stack.firing():
                fired = time.monotonic() - gone
            time.sleep(0.2)
        waiting = stack.value("sum(prometheus_remote_storage_samples_pending)")
        store.starts()
        back = time.monotonic()
        until("the alert resolves", lambda: not stack.firing())
        resolved = time.monotonic() - back
        said, _ = traffic.communicate(timeout=LIMIT)
    finally:
        if traffic.poll() is None:
            traffic.terminate()
            traffic.wait()
    checks.holds("the traffic's counts are the service's", traffic.returncode == 0, said[-1500:])
    when = "" if fired is None else f", {fired:.0f} s after the store had gone, and was over {resolved:.0f} s after it was back"
    checks.holds(f"{ALERT} fired{when}", fired is not None, f"within {AWAY} s it did not")
    say(f"{waiting:.0f} samples waited in the queue's memory when it came back; the rest in the write-ahead log")
    until("the receiver is told that the alert is over", lambda: "resolved" in stack.told(), 60)
    checks.holds("the receiver was told of it, and that it is over", {"firing", "resolved"} <= set(stack.told()))

    # Without those of a scrape that is under way: up to a moment that both have.
    last = max(max(samples) for samples in stack.raw(COUNTED).values())
    arrived = lambda: any(max(samples) >= last for samples in store.raw(COUNTED).values())
    until("the last sample is in the store", arrived)
    until("each counter's last sample is", lambda: all(max(one) >= last for one in store.raw(COUNTED).values()))
    counts = ledger(book)
    total = sum(counts.values())
    grown = growth(store.raw(COUNTED))
    checks.holds(f"the store's raw samples grew by the ledger's {total} requests, each kind by its own", grown == dict(counts), f"{grown} there, {dict(counts)} in the ledger")
    increase = {}
    for one in store.query(f"increase({COUNTED}[15m])"):
        if float(one["value"][1]):
            increase[of_requests(one["metric"].items())] = float(one["value"][1])
    checks.holds(f"its own increase() over the run is the same {total}", increase == dict(counts), f"{increase}")

    def up_to(series):
        cut = {labels: {at: value for at, value in samples.items() if at <= last} for labels, samples in series.items()}
        return {labels: samples for labels, samples in cut.items() if samples}

    differences, compared = same_samples(up_to(stack.raw('{job="app"}')), up_to(store.raw('{job="app"}')))
    checks.holds(f"all {compared} samples of the service that Prometheus has are there, and no others", not differences and compared > 0, "; ".join(differences[:3]))
    lost = [stack.value(f"sum(prometheus_remote_storage_samples_{how}_total)") for how in ["failed", "dropped"]]
    checks.holds("none was refused, none dropped", lost[0] == 0 and not lost[1], f"{lost}")
    labels = {name: store.query(f"count by ({name}) ({{job=\"app\"}})") for name in sorted(EXTERNAL)}
    labels = {name: [one["metric"].get(name) for one in values] for name, values in labels.items()}
    wanted = {name: [value] for name, value in {**stack.labels, "speed": str(SPEED)}.items()}
    checks.holds(f"each series is called {stack.labels} there", labels == wanted, f"{labels}")


def judged(tool, folder, stack, checks):
    """Of a stack that came up anew: that an alert fired in the run before is no fault of it."""
    ran = subprocess.run([tool, "traffic", "request-rate", "--state", stack.state], capture_output=True, text=True)
    checks.holds("the stack that came up again has its name, and a scenario runs on it", ran.returncode == 0, ran.stderr[-1500:])
    command = [tool, "evidence", "--state", stack.state, "--out", f"{folder}/bundles"]
    evidence = subprocess.run(command, capture_output=True, text=True)
    checks.holds("evidence of that stack holds", evidence.returncode == 0, evidence.stdout[-1500:] + evidence.stderr[-1500:])
    found = [path for path in holders(folder, PASSWORD) if path != f"{folder}/password"]
    checks.holds("the password is in its own file, and in no other, no bundle and no command line", not found, ", ".join(found))


def main():
    tool = os.path.abspath(sys.argv[1])
    program = next((found for found in map(shutil.which, PROGRAMS) if found), None)
    if program is None:
        print(f"remote-write: NOT RUN: no {PROGRAMS[0]} on PATH; Debian 13 has it: apt-get install victoria-metrics")
        return 0
    folder = tempfile.mkdtemp(prefix="aiclipx-remote-write-")
    password_file = f"{folder}/password"
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(PASSWORD)
    checks, store, stack = Checks(), None, None
    try:
        store = Store(program, folder, password_file)
        stack = Stack(tool, folder, store, password_file)
        lived(tool, folder, stack, store, checks)
        stack.ends()
        first, stack = stack, Stack(tool, folder, store, password_file)
        assert stack.labels == first.labels, f"it was {first.labels}, and is {stack.labels}"
        judged(tool, folder, stack, checks)
    except (AssertionError, OSError, http.client.HTTPException) as failed:
        checks.holds(str(failed), False, "it went no further")
    finally:
        if stack:
            stack.ends()
        if store:
            store.ends()
    if checks.failed:
        say(f"what it left is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
