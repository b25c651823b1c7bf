#!/usr/bin/env python3
"""scripts/log-faults.py TOOL [FAULT…]: lives through every fault of the log path on a real stack with Vector and Loki.

A row each, as Markdown, on standard output: which alert fires and when, whether it stays while the fault lasts, when it
resolves after it, what was lost and what came twice. Secrets are planted in each log, and none may reach Loki or Vector's own
log. Times are of this stack, which lives thirty times faster than production. Without Vector and Loki on PATH it says NOT RUN
and passes; what takes root says so in its row. Takes some twenty minutes and a gigabyte below TMPDIR. Exit codes: 0 as it
should be, 1 a row is not, 2 the stack can't be had.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

SPEED = 30
# What an alert may take, in seconds of this stack: two windows, two evaluations, and room for a busy machine.
FIRES_WITHIN = 40
# What a fault lasts that something must be told of.
LASTS = 45
# After it, until every alert on it must be over.
RESOLVES_WITHIN = 60
MEBIBYTE = 1 << 20


def say(text):
    print(f"log-faults: {text}", file=sys.stderr, flush=True)


def version(program):
    try:
        return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30).stdout
    except OSError:
        return ""


class Stack:
    """A stack of its own, in a folder of its own, on free ports."""

    def __init__(self, tool, mounts):
        self.tool = tool
        self.folder = tempfile.mkdtemp(prefix="aiclipx-log-faults-")
        self.state = os.path.join(self.folder, "state")
        self.mounted = []
        # Ours, though something lies in it before the stack does.
        os.makedirs(self.state)
        open(os.path.join(self.state, ".aiclipx-state"), "w").close()
        for component, size in mounts.items():
            place = os.path.join(self.state, "data", component)
            os.makedirs(place)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
            self.mounted.append(place)
        command = [tool, "up", "--state", self.state, "--speed", str(SPEED), "--free-ports"]
        up = subprocess.run(command, capture_output=True, text=True)
        if up.returncode != 0:
            raise SystemExit(f"log-faults: the stack did not start:\n{up.stderr}")
        with open(os.path.join(self.state, "stack.json")) as file:
            addresses = json.load(file)["addresses"]
        self.app, self.prometheus = addresses["app"][0], addresses["prometheus"]
        self.loki = addresses["logging"]["loki"]

    def get(self, address, path, **query):
        host, port = address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def firing(self):
        alerts = self.get(self.prometheus, "/api/v1/alerts")["data"]["alerts"]
        names = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return {name for name in names if name.startswith("Monitoring")}

    def counted(self, expression):
        result = self.get(self.prometheus, "/api/v1/query", query=expression)["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0

    def asked(self, word, path, query, **more):
        span = {"start": int((time.time() - 7200) * 1e9), "end": int((time.time() + 7200) * 1e9)}
        query = query.replace("LINES", f'{{component=~"app|other"}} |= `{word}`')
        return self.get(self.loki, path, query=query, **(span if more else {"time": span["end"]}), **more)["data"]["result"]

    def held(self, word):
        """How many lines that hold this word are in Loki."""
        result = self.asked(word, "/loki/api/v1/query", "sum(count_over_time(LINES [4h]))")
        return int(result[0]["value"][1]) if result else 0

    def different(self, word):
        """How many of these requests are in Loki; it gives out 5000 lines at most."""
        streams = self.asked(word, "/loki/api/v1/query_range", "LINES", limit=5000)
        lines = [json.loads(line) for stream in streams for _, line in stream["values"]]
        return len({line.get("request_id", line["message"]) for line in lines})

    def control(self, *order):
        command = ["supervisorctl", "-c", os.path.join(self.state, "supervisord.conf"), *order]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def pid(self, component):
        return int(self.control("pid", component))

    def pause(self, component):
        os.kill(self.pid(component), signal.SIGSTOP)

    def resume(self, component):
        os.kill(self.pid(component), signal.SIGCONT)

    def kill(self, component):
        os.kill(self.pid(component), signal.SIGKILL)

    def write(self, lines):
        """Lines into the service's own log, as if it had said them."""
        with open(f"/proc/{self.pid('app')}/fd/1", "wb", buffering=0) as pipe:
            for line in lines:
                view = memoryview(line.encode() + b"\n")
                while view:
                    view = view[pipe.write(view):]

    def log(self, name):
        return os.path.join(self.state, "logs", f"{name}.log")

    def edit_forwarder(self, text, replacement):
        """Another configuration, and a forwarder that has read it."""
        place = os.path.join(self.state, "etc", "vector", "vector.yaml")
        with open(place) as file:
            before = file.read()
        after = before.replace(text, replacement)
        if after == before:
            raise SystemExit(f"log-faults: {text} is not in {place}")
        with open(place, "w") as file:
            file.write(after)
        self.control("restart", "vector")

    def forwarder_said(self, word):
        with open(self.log("vector")) as log:
            return any(word in line for line in log)

    def fill(self, component, share):
        """Fills a component's file system, all but the rest of this share."""
        place = os.path.join(self.state, "data", component)
        room = os.statvfs(place)
        wanted = int(share * room.f_blocks * room.f_frsize) - (room.f_blocks - room.f_bfree) * room.f_frsize
        with open(os.path.join(place, "filler"), "wb") as file:
            try:
                while wanted > 0:
                    wanted -= file.write(bytes(min(wanted, MEBIBYTE)))
                    file.flush()
            except OSError:
                pass

    def free(self, component):
        os.remove(os.path.join(self.state, "data", component, "filler"))

    def end(self):
        started = time.monotonic()
        down = subprocess.run([self.tool, "down", "--state", self.state], capture_output=True, text=True)
        took = time.monotonic() - started
        for place in self.mounted:
            subprocess.run(["umount", "-l", place], check=False)
        if down.returncode != 0:
            raise SystemExit(f"log-faults: down: {down.stderr}; the state is left in {self.folder}")
        shutil.rmtree(self.folder)
        return took


class Load:
    """Requests of one name at a steady rate, until it is stopped."""

    def __init__(self, stack, name, rate=20):
        self.stack, self.name, self.rate = stack, name, rate
        self.sent = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        host, port = self.stack.app.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        began = time.monotonic()
        while not self.over.wait(max(0, began + self.sent / self.rate - time.monotonic())):
            connection.request("GET", "/items", headers={"x-request-id": f"{self.name}-{self.sent:06}"})
            connection.getresponse().read()
            self.sent += 1

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.sent


def seconds(value):
    return "–" if value is None else f"{value:.0f} s"


class Watch:
    """When alerts fire and resolve."""

    def __init__(self, stack):
        self.stack = stack
        self.began = time.monotonic()
        self.ended = None
        self.first, self.last, self.gaps = {}, {}, set()

    def look(self):
        firing = self.stack.firing()
        now = time.monotonic()
        for name in firing:
            self.first.setdefault(name, now - self.began)
            self.last[name] = now
        if self.ended is None:
            self.gaps |= self.first.keys() - firing
        return firing

    def until(self, limit, holds):
        """Looks until it holds or the time is over; says whether it held."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if holds(self.look()):
                return True
            time.sleep(0.2)
        return False

    def end(self):
        self.ended = time.monotonic()

    def told(self, alert):
        after = max(0, self.last[alert] - self.ended) if alert in self.last else None
        return self.first.get(alert), alert not in self.gaps, after


def request_line(identity, at, text=""):
    return json.dumps({"ts": at, "level": "INFO", "msg": "Request ended.", "request_id": identity, "text": text})


def now(offset=0):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + offset)) + ".000Z"


class Row:
    """A fault: what begins it, what ends it, which alerts must fire, and what may be lost."""

    def __init__(self, name, begin, end=None, alerts=(), lost=0, lasts=None, counter=None, mounts=None, worst=None):
        self.name, self.begin, self.finish, self.alerts = name, begin, end, alerts
        # How many lines; None where it depends on how fast what is read.
        self.lost, self.lasts, self.counter = lost, lasts, counter
        self.mounts = mounts or {}
        # What it must have come to before it may end.
        self.worst = worst

    def live(self, tool):
        if self.mounts and os.geteuid() != 0:
            return f"| {self.name} | NOT RUN: takes root | | | | | |", True
        stack = Stack(tool, self.mounts)
        try:
            return self.lived(stack)
        finally:
            took = stack.end()
            say(f"{self.name}: down took {took:.1f} s")

    def lived(self, stack):
        word = f"fault{os.getpid()}"
        watch = Watch(stack)
        # Windows must have a healthy past.
        load = Load(stack, word)
        stack.write(PLANTED)
        watch.until(20, lambda firing: False)
        watch = Watch(stack)
        written = []
        beginning = threading.Thread(target=lambda: written.append(self.begin(stack, word) or 0), daemon=True)
        beginning.start()
        is_due = lambda firing: set(self.alerts) <= firing
        if self.lasts is None:
            fires = watch.until(FIRES_WITHIN, is_due)
            if self.finish:
                watch.until(max(0, watch.began + LASTS - time.monotonic()), lambda firing: False)
        else:
            fires = watch.until(self.lasts, is_due) or not self.alerts
            watch.until(max(0, watch.began + self.lasts - time.monotonic()), lambda firing: False)
        watch.until(300, lambda firing: written)
        if self.worst and not watch.until(900, lambda firing: self.worst(stack)):
            say(f"{self.name}: it did not come to the worst")
            fires = False
        elif self.worst:
            watch.until(LASTS, lambda firing: False)
        if self.finish:
            self.finish(stack)
        watch.end()
        resolves = watch.until(RESOLVES_WITHIN, lambda firing: not firing)
        sent = load.stop() + written[0]
        held, grew = stack.held(word), time.monotonic()
        # Once all that may come is there, a little for what comes twice; else until no more comes.
        while time.monotonic() < grew + (3 if self.lost is not None and held >= sent - self.lost else 15):
            time.sleep(1)
            more = stack.held(word)
            if more != held:
                held, grew = more, time.monotonic()
        if sent <= 5000:
            different = stack.different(word)
            lost, twice = sent - different, held - different
        else:
            lost, twice = max(0, sent - held), max(0, held - sent)
        hidden = stack.held(SECRET) == 0 and not stack.forwarder_said(SECRET)
        if not hidden:
            say(f"{self.name}: a planted secret left the files")
        counted = stack.counted(self.counter) if self.counter else None
        stays = all(watch.told(alert)[1] for alert in self.alerts) if self.finish else True
        alerts = sorted(watch.first, key=watch.first.get)
        fired = ", ".join(f"{alert.removeprefix('Monitoring')} {seconds(watch.first[alert])}" for alert in alerts) or "none"
        after = [watch.told(alert)[2] for alert in watch.first]
        after = max((value for value in after if value is not None), default=None)
        cells = [self.name, fired, "yes" if stays else "NO", seconds(after), f"{lost} of {sent}",
                 "" if counted is None else str(counted), str(twice)]
        right = fires and stays and resolves and self.lost in (None, lost) and twice == 0 and hidden
        return f"| {' | '.join(cells)} |", right



# Of every stack's log, and nowhere behind it.
SECRET = "hunter2Planted"
PLANTED = [
    f'{{"level":"INFO","msg":"planted","p\\u0061ssword":"{SECRET}","auth":{{"a":[{{"b":"{SECRET}"}}]}}}}',
    f'{{"level":"INFO","msg":"https:\\/\\/me:{SECRET}@host\\/?sig={SECRET}"}}',
    f'{{"level":"INFO","msg":"planted","headers":[{{"name":"Cookie","value":"a=b; c={SECRET}"}}]}}',
    f'level=info msg="Authorization: Token {SECRET} {SECRET}" password=\'{SECRET} {SECRET}\'',
    f'level=info msg="half an object" {{"passw\\u006frd":"{SECRET}',
    f"planted password: x {SECRET}; Cookie: a=b; session={SECRET}",
]

DROPPED, ERRORS = "MonitoringLogsDropped", "MonitoringLogsForwarderErrors"
NOT_SHIPPED, MISSING = "MonitoringLogsNotShipped", "MonitoringOptionalTargetMissing"
NOT_READ = "MonitoringLogsNotRead"
LEFT_OUT = "sum(aiclipx_log_lines_left_out_total)"
REFUSED = 'sum(vector_component_discarded_events_total{intentional="false"})'


def write_one(text):
    def begin(stack, word):
        stack.write([text(word)])
        return 1
    return begin


def long_line(length):
    return write_one(lambda word: request_line(f"{word}-long", now(), f"password={SECRET} " + "x" * length))


def flood(count, length):
    """Many lines as fast as the log takes them; each has a time and a number of its own."""
    def begin(stack, word):
        at = time.time()
        part = "x" * length
        stack.write(request_line(f"{word}-f{n:07}", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
                                 + f".{n % 1000:03}Z", part) for n in range(count))
        return count
    return begin


def stop_and_flood(stack, word):
    stack.control("stop", "loki")
    return flood(60_000, 3_600)(stack, word)


def buffer_is_full(stack):
    """It holds much, and no more than two windows ago."""
    size = 'vector_buffer_size_bytes{buffer_id="loki"}'
    return stack.counted(f"count({size} > 1e8 and {size} == {size} offset {2 * 300 // SPEED}s)") > 0


def put_pipe(stack, _):
    os.mkfifo(stack.log("aside"))


def take_pipe(stack):
    """Whoever waits for its writer is let go: there was one."""
    pipe = os.open(stack.log("aside"), os.O_WRONLY | os.O_NONBLOCK)
    os.remove(stack.log("aside"))
    os.close(pipe)


def reads_elsewhere(stack, _):
    stack.edit_forwarder("/logs/*.log", "/elsewhere/*.log")


def reads_here(stack):
    stack.edit_forwarder("/elsewhere/*.log", "/logs/*.log")


SMALL = {"loki": "64m"}
FAULTS = {
    "loki-stopped": Row("Loki stopped", lambda s, _: s.control("stop", "loki") and 0,
                        lambda s: s.control("start", "loki"), [NOT_SHIPPED, MISSING, ERRORS]),
    "loki-killed": Row("Loki killed (and restarted)", lambda s, _: s.kill("loki"), lasts=20),
    "loki-paused": Row("Loki paused", lambda s, _: s.pause("loki"), lambda s: s.resume("loki"), [NOT_SHIPPED, MISSING]),
    "loki-disk-91": Row("Loki's disk at 91 %", lambda s, _: s.fill("loki", 0.91), lambda s: s.free("loki"), lasts=20,
                        mounts=SMALL),
    "loki-disk-94": Row("Loki's disk at 94 %", lambda s, _: s.fill("loki", 0.94), lambda s: s.free("loki"), lasts=20,
                        mounts=SMALL),
    "loki-disk-full": Row("Loki's disk full", lambda s, _: s.fill("loki", 2), lambda s: s.free("loki"),
                          [NOT_SHIPPED, ERRORS], mounts=SMALL),
    "loki-refuses": Row("Loki refuses one line (two hours ahead)",
                        write_one(lambda word: request_line(f"{word}-ahead", now(7200))), alerts=[DROPPED],
                        lost=None, counter=REFUSED),
    "vector-stopped": Row("Vector stopped", lambda s, _: s.control("stop", "vector") and 0,
                          lambda s: s.control("start", "vector"), [MISSING]),
    "vector-killed": Row("Vector killed (and restarted)", lambda s, _: s.kill("vector"), lasts=20),
    "vector-paused": Row("Vector paused", lambda s, _: s.pause("vector"), lambda s: s.resume("vector"), [MISSING]),
    "vector-buffer-full": Row("Vector's buffer full (Loki stopped, 220 MB of lines)", stop_and_flood,
                              lambda s: s.control("start", "loki"), [NOT_SHIPPED, MISSING], lost=None,
                              worst=buffer_is_full),
    "vector-disk-full": Row("Vector's data folder full", lambda s, _: s.fill("vector", 2), lambda s: s.free("vector"),
                            [MISSING], mounts={"vector": "300m"}),
    "pipe-among-logs": Row("A pipe among the logs, which Vector waits for", put_pipe, take_pipe, [NOT_READ]),
    "reads-elsewhere": Row("Vector looks in another folder", reads_elsewhere, reads_here, [NOT_READ]),
    "line-300k": Row("a line of 300 kB", long_line(300_000),
                     alerts=[DROPPED], lost=1, counter=LEFT_OUT),
    "line-1m": Row("a line of 1 MiB", long_line(MEBIBYTE),
                   alerts=[DROPPED], lost=1, counter=LEFT_OUT),
    "rotation": Row("70 MB of lines, three rotations", flood(70_000, 900), lasts=20),
}


def main():
    if len(sys.argv) < 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    tool, chosen = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(FAULTS)
    for name in chosen:
        if name not in FAULTS:
            say(f"no fault is called {name}; there are {', '.join(FAULTS)}")
            return 2
    # A name proves nothing.
    if not version("vector").startswith("vector 0.") or not version("loki").startswith("loki, version "):
        say("NOT RUN: Vector and Loki are not on PATH; nix develop has them")
        return 0
    print("| fault | alert, and when it fires | stays | resolves after | lost | counted | twice |")
    print("|---|---|---|---|---|---|---|", flush=True)
    all_right = True
    for name in chosen:
        say(f"{name} …")
        row, is_right = FAULTS[name].live(tool)
        print(row + ("" if is_right else " NOT AS IT SHOULD BE"), flush=True)
        all_right &= is_right
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
