#!/usr/bin/env python3
"""scripts/kubernetes.py VERB: the pods of deploy/kubernetes/base under podman, for scripts/kubernetes.sh, which has applied them to a server.

  can-run     whether they can be run here; else what is lacking, and 1
  network     makes their network, and prints the address at which this machine is reached from it
  admitted    every template's pod, and three of the service, are taken by the server under the namespace's Pod Security
  run URL CA TOOL
              runs them as a kubelet would, tells the server their addresses, and looks: answering, scraped, drained under traffic;
              then the Jobs' pods, shorter than they are: half a minute of traffic, the drill of one alert
  down        removes all of it

podman 4.3 is no kubelet. It is given the pods as the server has them, but for what it has no word for: probes (it would run curl in
the container), secrets and disks that nobody made (empty folders here), names (it is told the addresses). Images are upstream's
programs as they are on PATH, in images that hold nothing else; Grafana's place is held by busybox.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

NETWORK = "aiclipx-kubernetes"
NAMESPACE = "aiclipx"
NAME = "app.kubernetes.io/name"
STATE = os.path.join(tempfile.gettempdir(), f"{NETWORK}-{os.getuid()}")
REPLICAS = 3
# Longer than anything takes; reaching it is a failure, not a measurement.
LIMIT = 120
# What the pod of a drill tries.
DRILLED = "AppDatabaseUnavailable"
# Until then all pods of the traffic are there.
AHEAD = 60
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
# Of a component: what a program on PATH may be called, and where its image has it.
PROGRAMS = {
    "prometheus": (["prometheus"], "bin/prometheus"),
    "alertmanager": (["alertmanager", "prometheus-alertmanager"], "bin/alertmanager"),
    "probe": (["blackbox_exporter", "prometheus-blackbox-exporter"], "bin/blackbox_exporter"),
}
# What upstream's images have beside it.
BESIDE = {"prometheus": "promtool", "alertmanager": "amtool"}
BOX = ["cat", "cp", "sleep", "tar"]
# Which of these stands for an image that a pod names.
IMAGES = {
    "localhost/aiclipx-app": "app",
    "localhost/aiclipx-receiver": "receiver",
    "docker.io/prom/prometheus": "prometheus",
    "docker.io/prom/alertmanager": "alertmanager",
    "docker.io/prom/blackbox-exporter": "probe",
    "docker.io/grafana/grafana": "grafana",
}


def run(*words, text=None, check=True):
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if check and done.returncode:
        sys.exit(f"kubernetes: {' '.join(words[:6])}: {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def podman(*words, **how):
    return run("podman", *words, **how)


def kubectl(*words, **how):
    return run("kubectl", "--namespace", NAMESPACE, *words, **how)


def say(what):
    print(f"kubernetes: {what}", flush=True)


def eventually(what, attempt):
    began = time.monotonic()
    while True:
        found = attempt()
        if found:
            return found
        if time.monotonic() - began > LIMIT:
            sys.exit(f"kubernetes: waited in vain for {what}")
        time.sleep(0.2)


def get(url):
    """Status and body; nothing where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


# --- what can be run -----------------------------------------------------------------------------------------------------------


def lacking():
    for program in ["podman", "busybox"]:
        if not shutil.which(program):
            return f"{program} is not on PATH"
    for names, _ in PROGRAMS.values():
        if not any(map(shutil.which, names)):
            return f"{names[0]} is not on PATH"
    if not os.path.exists("dist/aiclipx") or not os.path.exists("dist/aiclipx-app"):
        return "dist/ has not the two programs: just dist aiclipx-app aiclipx"
    make_pause()
    probe = subprocess.run(["podman", "run", "--rm", "--network=none", "--memory=16m", "--entrypoint=/busybox", pause_image(), "true"], capture_output=True, text=True)
    return f"podman can run no container here: {probe.stderr.strip()}" if probe.returncode else None


def discovers():
    """Whether Prometheus was built with the discovery of pods: Debian's wasn't, and promtool may know what it doesn't."""
    with open(shutil.which("prometheus"), "rb") as program:
        return b"discovery/kubernetes" in program.read()


def image(name):
    return f"localhost/{NETWORK}-{name}:tried"


def pause_image():
    return image("pause")


def make_pause():
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(shutil.which("busybox"), os.path.join(root, "busybox"))
        import_image("pause", root, 'ENTRYPOINT ["/busybox", "sleep", "1000000"]')


def import_image(name, root, *changes):
    words = [word for change in changes for word in ("--change", change)]
    packed = subprocess.Popen(["tar", "-c", "--mode=a+rX", "--owner=0", "--group=0", "-C", root, "."], stdout=subprocess.PIPE)
    imported = subprocess.run(["podman", "import", *words, "-", image(name)], stdin=packed.stdout, capture_output=True, text=True)
    if packed.wait() or imported.returncode:
        sys.exit(f"kubernetes: no image of {name}: {imported.stderr.strip()}")


def make_images():
    """The service's and the tool's by the Containerfile; the others of programs on PATH, with the libraries they load."""
    for target in ["app", "receiver"]:
        podman("build", "--no-cache", "--format=docker", "--file=Containerfile", f"--target=dist-{target}", f"--tag={image(target)}", ".")
    for name, (names, inside) in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as root:
            program = next(filter(None, map(shutil.which, names)))
            libraries = subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split()
            wanted = [(library, library.lstrip("/")) for library in libraries if library.startswith("/")]
            if name == "alertmanager":
                # What Debian's reads from its package; upstream's holds it.
                folder = "usr/share/prometheus/alertmanager"
                wanted += [(f"/{folder}/{file}", f"{folder}/{file}") for file in ["default.tmpl", "email.tmpl"]]
            beside = shutil.which(BESIDE.get(name, ""))
            wanted += [(beside, f"bin/{BESIDE[name]}")] if beside else []
            wanted += [(shutil.which("busybox"), f"bin/{one}") for one in BOX]
            for source, to in [(program, inside), *wanted]:
                if os.path.exists(source):
                    os.makedirs(os.path.dirname(os.path.join(root, to)), exist_ok=True)
                    shutil.copy(source, os.path.join(root, to))
            import_image(name, root, f'ENTRYPOINT ["/{inside}"]')
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, "bin"))
        shutil.copy(shutil.which("busybox"), os.path.join(root, "bin/busybox"))
        for name in ["sh", "test", "mkdir", "httpd"]:
            os.symlink("busybox", os.path.join(root, "bin", name))
        with open(os.path.join(root, "bin/grafana"), "w", encoding="utf-8") as script:
            # It has what Grafana would read, and answers its health path.
            script.write("#!/bin/sh\nset -e\ntest -s /run/made/secrets/grafana_admin_password\ntest -s /etc/grafana/dashboards/slo.json\n")
            script.write("test -s /etc/grafana/grafana.ini\ntest -s /etc/grafana/provisioning/datasources/prometheus.yml\n")
            script.write("mkdir -p /tmp/api\necho {} > /tmp/api/health\nexec httpd -f -p 3000 -h /tmp\n")
        os.chmod(os.path.join(root, "bin/grafana"), 0o755)
        import_image("grafana", root, "ENV PATH=/bin", 'ENTRYPOINT ["/bin/grafana"]')


def engine():
    """podman as it has to be told to run pods where crun, catatonit or the file limits of a shell are not as it likes them."""
    os.makedirs(STATE, exist_ok=True)
    lines = ["[containers]", 'default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]', "[engine]", f'infra_image = "{pause_image()}"']
    lines.append('infra_command = "/busybox sleep 1000000"')
    if not shutil.which("crun") and shutil.which("runc"):
        lines.append('runtime = "runc"')
    path = os.path.join(STATE, "containers.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.environ["CONTAINERS_CONF"] = path


# --- pods ------------------------------------------------------------------------------------------------------------------------


def templates():
    listed = json.loads(kubectl("get", "deployments,statefulsets", "--output=json"))
    return {item["metadata"]["name"]: item["spec"]["template"] | {"claims": item["spec"].get("volumeClaimTemplates", [])} for item in listed["items"]}


def pods():
    """Of each template one, of the service three, as the server would have them made."""
    for name, template in templates().items():
        for number in range(REPLICAS if name == "app" else 1):
            spec = json.loads(json.dumps(template["spec"]))
            for claim in template["claims"]:
                spec.setdefault("volumes", []).append({"name": claim["metadata"]["name"], "emptyDir": {}})
            metadata = {"name": f"{name}-{number}", "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
            yield name, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def admitted():
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": NAMESPACE}}
    bare["spec"] = {"serviceAccountName": "app", "containers": [{"name": "bare", "image": "bare"}]}
    refused = subprocess.run(["kubectl", "create", "--filename=-"], input=json.dumps(bare), capture_output=True, text=True)
    if "violates PodSecurity" not in refused.stderr:
        sys.exit(f"kubernetes: a pod that is held back by nothing is not refused: {refused.stderr.strip() or refused.stdout.strip()}")
    for _, pod in pods():
        done = subprocess.run(["kubectl", "create", "--filename=-"], input=json.dumps(pod), capture_output=True, text=True)
        if done.returncode or done.stderr:
            sys.exit(f"kubernetes: {pod['metadata']['name']}: {done.stderr.strip()}")
    say(f"{len(list(pods()))} pods taken under Pod Security `restricted`, no warning")


def for_podman(name, pod, url, certificate, addresses, namespace=NAMESPACE):
    """A pod without what podman has no word for, and with what a kubelet would add."""
    pod = json.loads(json.dumps(pod))
    spec = pod["spec"]
    for key in ["topologySpreadConstraints", "serviceAccountName", "serviceAccount", "schedulerName", "tolerations", "priority"]:
        spec.pop(key, None)
    spec["hostAliases"] = [{"ip": found[0], "hostnames": [host]} for host, found in addresses.items() if found]
    if "initContainers" in spec:
        # It would start what prepares the pod again, and stumble over it.
        spec["restartPolicy"] = "Never"
    own = set()
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            volume.pop("secret")
            volume["emptyDir"] = {}
        if "emptyDir" in volume:
            # Two pods' of one name would be one.
            volume |= {"name": f"{pod['metadata']['name']}-{volume['name']}", "emptyDir": {}}
            own.add(volume["name"])
    for container in spec.get("initContainers", []) + spec["containers"]:
        container["image"] = image(IMAGES[container["image"].split("@")[0].rpartition(":")[0]])
        container["imagePullPolicy"] = "Never"
        for key in ["startupProbe", "readinessProbe", "livenessProbe", "terminationMessagePath", "terminationMessagePolicy"]:
            container.pop(key, None)
        # A kubelet makes the folder in which a mount lies in another; here it is made in the other, which is not to be read alone then.
        for mount in container.get("volumeMounts", []):
            called = f"{pod['metadata']['name']}-{mount['name']}"
            mount["name"] = called if called in own else mount["name"]
        within = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        for mount in container.get("volumeMounts", []):
            if any(path.startswith(mount["mountPath"] + "/") for path in within):
                mount.pop("readOnly", None)
        # It would publish them on this machine.
        container.pop("ports", None)
    if name == "prometheus":
        give_token(spec, url, certificate)
    maps = {volume["configMap"]["name"] for volume in spec.get("volumes", []) if "configMap" in volume}
    containers = spec.get("initContainers", []) + spec["containers"]
    given = [variable.get("valueFrom", {}) for container in containers for variable in container.get("env", [])]
    maps |= {one["configMapKeyRef"]["name"] for one in given if "configMapKeyRef" in one}
    documents = [json.loads(kubectl("get", "configmap", one, "--output=json", f"--namespace={namespace}")) for one in sorted(maps)]
    for container in containers:
        expand(container, documents)
    for document in documents:
        if name == "prometheus" and "prometheus.yml" in document["data"] and not discovers():
            document["data"] = listed(addresses)
    return "\n---\n".join(json.dumps(document) for document in [*documents, pod])


def expand(container, maps):
    """What a kubelet puts into the place of `$(NAME)`."""
    values = {}
    for variable in container.get("env", []):
        key = variable.get("valueFrom", {}).get("configMapKeyRef")
        found = [one["data"][key["key"]] for one in maps if key and one["metadata"]["name"] == key["name"]]
        values[variable["name"]] = found[0] if found else variable.get("value", "")
    for words in ["command", "args"]:
        if words in container:
            container[words] = [re.sub(r"\$\((\w+)\)", lambda name: values.get(name[1], name[0]), word) for word in container[words]]


def listed(addresses):
    """The configuration with files of targets, as monitoring/ has it, and in them the pods that it would find, by their names."""
    with open("monitoring/prometheus/prometheus.yml", encoding="utf-8") as file:
        data = {"prometheus.yml": file.read().replace("targets/", "")}
    with open("monitoring/prometheus/targets/probe.json", encoding="utf-8") as file:
        data["probe.json"] = file.read()
    ports = {"app": 8081, "alertmanager": 9093, "receiver": 9095}
    for name, port in ports.items():
        groups = enumerate(addresses[name])
        data[f"{name}.json"] = json.dumps([{"targets": [f"{address}:{port}"], "labels": {"instance": f"{name}-{number}"}} for number, address in groups])
    data["prometheus.json"] = json.dumps([{"targets": ["localhost:9090"], "labels": {"instance": "prometheus-0"}}])
    return data


def give_token(spec, url, certificate):
    folder = os.path.join(STATE, "token")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(certificate, os.path.join(folder, "ca.crt"))
    for name, text in [("token", kubectl("create", "token", "prometheus")), ("namespace", NAMESPACE)]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.system(f"chmod -R a+rX '{folder}'")
    host, port = url.removeprefix("https://").split(":")
    container = spec["containers"][0]
    container["env"] = [{"name": "KUBERNETES_SERVICE_HOST", "value": host}, {"name": "KUBERNETES_SERVICE_PORT", "value": port}]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["mountPath"] != TOKEN]
    container["volumeMounts"].append({"name": "token", "mountPath": TOKEN, "readOnly": True})
    spec.setdefault("volumes", []).append({"name": "token", "hostPath": {"path": folder, "type": "Directory"}})


def start(name, pod, url, certificate, addresses):
    """Runs one, and tells the server where it is, as its kubelet would. Its address."""
    called = pod["metadata"]["name"]
    podman("play", "kube", "--network", NETWORK, "-", text=for_podman(name, pod, url, certificate, addresses))
    infra = podman("pod", "inspect", called, "--format", "{{.InfraContainerID}}")
    address = podman("inspect", infra, "--format", f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}')
    containers = [{"name": one["name"], "ready": True, "restartCount": 0, "image": one["image"], "imageID": "", "started": True, "state": {"running": {}}} for one in pod["spec"]["containers"]]
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "containerStatuses": containers}
    status["conditions"] = [{"type": "Ready", "status": "True"}]
    kubectl("patch", "pod", called, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status}))
    return address


# --- what is looked at ---------------------------------------------------------------------------------------------------------


def asked(prometheus, query):
    found = get(f"http://{prometheus}:9090/api/v1/query?query={urllib.request.quote(query)}")
    return json.loads(found[1])["data"]["result"] if found and found[0] == 200 else []


def scraped(prometheus, addresses):
    """Every pod by itself, by the jobs' own names and its own, and nobody else."""
    wanted = {("app", f"app-{number}") for number, _ in enumerate(addresses["app"])}
    wanted |= {(name, f"{name}-0") for name in ["prometheus", "alertmanager", "receiver"]}
    wanted.add(("probe", "app:8080"))
    up = lambda: {(one["metric"]["job"], one["metric"]["instance"]) for one in asked(prometheus, "up == 1")}
    eventually(f"all to be scraped ({wanted}; there are {up()})", lambda: up() == wanted)
    if asked(prometheus, "up == 0"):
        sys.exit(f"kubernetes: not all that is scraped answers: {asked(prometheus, 'up == 0')}")
    eventually("the probe to succeed", lambda: any(one["value"][1] == "1" for one in asked(prometheus, 'probe_success{probed="app"}')))
    how = "as Prometheus itself found them by the server" if discovers() else "from files of targets"
    if not discovers():
        print("*** NOT RUN: the discovery of pods, for this Prometheus was built without it")
    say(f"scraped, {how}: {', '.join(' '.join(one) for one in sorted(wanted))}")


def told(addresses):
    """The Watchdog: from Prometheus' rules over an Alertmanager that it found to the receiver."""
    receiver = f"http://{addresses['receiver'][0]}:9095/metrics"
    said = lambda: [line for line in (get(receiver) or (0, ""))[1].splitlines() if line.startswith("aiclipx_notifications_total") and not line.endswith(" 0")]
    eventually("a notification at the receiver", said)
    say(f"told: {said()[0]}")


def drained(addresses, prometheus):
    """Told to stop under traffic, a pod says that it is not ready, serves on, and ends; whoever goes by its readiness loses nothing."""
    leaving, staying = addresses["app"][0], addresses["app"][1:]
    ready, counts, lost, seen = {"is": True}, {"sent": 0, "leaving": 0, "after": 0}, [], []
    over = threading.Event()

    def look():
        while not over.is_set():
            found = get(f"http://{leaving}:8081/health/ready")
            seen.append((time.monotonic(), found[0] if found else 0))
            # As a balancer that asks every five seconds, and goes by the second answer.
            if found is None or found[0] != 200:
                over.wait(10)
                ready["is"] = False
                return
            over.wait(0.2)

    def send():
        while not over.is_set():
            takes = ready["is"]
            host = leaving if takes and counts["sent"] % 3 == 0 else staying[counts["sent"] % len(staying)]
            found = get(f"http://{host}:8080/items")
            counts["sent"] += 1
            counts["leaving"] += host == leaving
            counts["after"] += host == leaving and any(status != 200 for _, status in seen)
            if not found or found[0] != 200:
                lost.append((host, found))
            over.wait(0.01)

    threads = [threading.Thread(target=one) for one in [look, send, send, send, send]]
    for thread in threads:
        thread.start()
    eventually("traffic", lambda: counts["leaving"] > 50)
    began = time.monotonic()
    podman("stop", "--time", "35", "app-0-app")
    took = time.monotonic() - began
    code = podman("inspect", "app-0-app", "--format", "{{.State.ExitCode}}")
    time.sleep(1)
    over.set()
    for thread in threads:
        thread.join()
    if lost or code != "0" or counts["after"] == 0 or not any(status == 503 for _, status in seen):
        sys.exit(f"kubernetes: lost {lost[:3]} of {counts}, ended with {code}, readiness {seen[-3:]}")
    say(f"drained: told to stop under traffic it was 503 at once, served {counts['after']} requests more, and ended with 0 after {took:.0f} s; of {counts['sent']} requests none was lost")
    kubectl("delete", "pod", "app-0", "--grace-period=0", "--force", check=False)
    if not discovers():
        return
    eventually("Prometheus to forget it", lambda: all(one["metric"]["instance"] != "app-0" for one in asked(prometheus, 'up{job="app"}')))
    say("forgotten: Prometheus scrapes the two that are left")


# --- the Jobs ------------------------------------------------------------------------------------------------------------------


def job(name, namespace):
    """The Job's pod, as its controller would make it."""
    template = json.loads(kubectl("get", "job", name, "--output=json", f"--namespace={namespace}"))["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": template["metadata"]["labels"]}, "spec": template["spec"]}


def traffic(tool, addresses):
    """Four pods, one start, four parts by their logs, one ledger; and the counters of the one they asked."""
    namespace, asked = "aiclipx-traffic", addresses["app"][1]
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + AHEAD))
    kubectl("create", "configmap", "traffic-start", f"--from-literal=at={at}", f"--namespace={namespace}")
    before, after, ledger = (os.path.join(STATE, name) for name in ["before", "after", "ledger.jsonl"])
    scrape(asked, before)
    made = []
    for index in range(4):
        pod = job("traffic", namespace)
        pod["metadata"]["name"] = f"traffic-{index}"
        container = pod["spec"]["initContainers"][0]
        container["env"].insert(0, {"name": "JOB_COMPLETION_INDEX", "value": str(index)})
        container["args"].append("--duration=30s")
        made.append(for_podman("traffic", pod, "", "", {"app": [asked]}, namespace))
    words = ["podman", "play", "kube", "--network", NETWORK, "-"]
    playing = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in made]
    for one, document in zip(playing, made):
        one.stdin.write(document)
        one.stdin.close()
    for one in playing:
        if one.wait(timeout=AHEAD + LIMIT):
            said = podman("logs", f"traffic-{playing.index(one)}-traffic", check=False)
            sys.exit(f"kubernetes: a pod of the traffic: {one.stderr.read().strip()}: {said}")
    parts = []
    for index in range(4):
        podman("wait", f"traffic-{index}-part")
        parts.append(os.path.join(STATE, f"part-{index}.jsonl"))
        with open(parts[-1], "w", encoding="utf-8") as file:
            subprocess.run(["podman", "logs", f"traffic-{index}-part"], stdout=file, stderr=subprocess.DEVNULL, check=True)
    scrape(asked, after)
    say(f"traffic: {run(tool, 'traffic', 'merge', *parts, '--out', ledger)}")
    run(tool, "traffic", "check", ledger, "--metrics-before", before, "--metrics-after", after)
    say("traffic: the one that they asked has counted the same, to the request")


def scrape(address, path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(get(f"http://{address}:8081/metrics")[1])


def drilled(tool):
    """A drill of one alert in the Job's pod; its bundle is fetched through the pod that holds its disk, and verified."""
    namespace = "aiclipx-drill"
    with open(shutil.which("prometheus"), "rb") as program:
        if b"ld-linux" in program.read(4096):
            print("*** NOT RUN: the drill's pod, for this Prometheus asks for libraries that the tool's image has not")
            return
    pod = job("drill-job", namespace)
    pod["spec"]["containers"][0]["args"].append(f"--only={DRILLED}")
    podman("play", "kube", "--network", NETWORK, "-", text=for_podman("drill", pod, "", "", {}, namespace))
    code = podman("wait", "drill-job-drill")
    if code != "0":
        sys.exit(f"kubernetes: the drill ended with {code}: {podman('logs', 'drill-job-drill', check=False).splitlines()[-5:]}")
    holder = json.loads(kubectl("get", "pod", "drill-bundles", "--output=json", f"--namespace={namespace}"))
    holder["metadata"] = {"name": "drill-bundles", "labels": holder["metadata"]["labels"]}
    holder.pop("status", None)
    podman("play", "kube", "--network", NETWORK, "-", text=for_podman("drill", holder, "", "", {}, namespace))
    packed = subprocess.run(["podman", "exec", "drill-bundles-bundles", "/bin/tar", "-cf", "-", "-C", "/bundles", "."], capture_output=True, check=True)
    folder = os.path.join(STATE, "bundles")
    os.makedirs(folder)
    subprocess.run(["tar", "-xf", "-", "-C", folder], input=packed.stdout, check=True)
    [bundle] = [name for name in os.listdir(folder) if os.path.exists(os.path.join(folder, name, "SHA256SUMS"))]
    verified = subprocess.run([tool, "verify", os.path.join(folder, bundle)], capture_output=True, text=True)
    if verified.returncode:
        sys.exit(f"kubernetes: the drill's bundle: {verified.returncode}: {verified.stderr.strip()}")
    say(f"drill of {DRILLED}, its bundle fetched and verified: {verified.stderr.strip().splitlines()[-1]}")


def main_run(url, certificate, tool):
    make_images()
    addresses = {}
    order = ["app", "receiver", "probe", "alertmanager", "prometheus", "grafana"]
    for name, pod in sorted(pods(), key=lambda one: order.index(one[0])):
        addresses.setdefault(name, []).append(start(name, pod, url, certificate, addresses))
    for address in addresses["app"]:
        eventually(f"{address} to be ready", lambda address=address: (get(f"http://{address}:8081/health/ready") or (0,))[0] == 200)
        eventually(f"{address} to answer", lambda address=address: (get(f"http://{address}:8080/") or (0,))[0] == 200)
    eventually("Grafana's place", lambda: (get(f"http://{addresses['grafana'][0]}:3000/api/health") or (0,))[0] == 200)
    say(f"{podman('--version')}: {sum(map(len, addresses.values()))} pods answer")
    prometheus = addresses["prometheus"][0]
    eventually("Prometheus to be ready", lambda: (get(f"http://{prometheus}:9090/-/ready") or (0,))[0] == 200)
    scraped(prometheus, addresses)
    told(addresses)
    drained(addresses, prometheus)
    traffic(tool, addresses)
    drilled(tool)


def main_down():
    for name in [pod["Name"] for pod in json.loads(podman("pod", "ps", "--format=json", "--filter", f"network={NETWORK}") or "[]")]:
        podman("pod", "rm", "--force", "--time=1", name, check=False)
    podman("rm", "--force", "--time=0", f"{NETWORK}-holder", check=False)
    podman("network", "rm", "--force", NETWORK, check=False)
    with contextlib.suppress(OSError), open(os.path.join(STATE, "volumes"), encoding="utf-8") as file:
        # Those that ConfigMaps and empty folders became; what was there before is somebody's.
        for volume in set(volumes()) - set(file.read().split()):
            podman("volume", "rm", "--force", volume, check=False)
    for name in [*PROGRAMS, "app", "receiver", "grafana", "pause"]:
        podman("rmi", "--force", image(name), check=False)
    shutil.rmtree(STATE, ignore_errors=True)


def volumes():
    return podman("volume", "ls", "--quiet").split()


def main_network():
    with open(os.path.join(STATE, "volumes"), "w", encoding="utf-8") as file:
        file.write("\n".join(volumes()))
    podman("network", "create", NETWORK)
    # A network has its address on this machine while somebody is on it.
    podman("run", "--detach", "--name", f"{NETWORK}-holder", "--network", NETWORK, pause_image())
    found = json.loads(podman("network", "inspect", NETWORK))[0]
    print(found["subnets"][0]["gateway"])


def main():
    engine()
    verb, *words = sys.argv[1:] or [""]
    if verb == "can-run":
        what = lacking()
        if what:
            sys.exit(print(what) or 1)
    elif verb in ["network", "admitted", "run", "down"]:
        {"network": main_network, "admitted": admitted, "run": main_run, "down": main_down}[verb](*words)
    else:
        sys.exit(f"kubernetes: {verb or 'nothing'} is no verb: can-run, network, admitted, run, down")


if __name__ == "__main__":
    main()
