#!/usr/bin/env bash
# scripts/kubernetes.sh TOOL: deploy/kubernetes on what of Kubernetes there is here. Nothing of a cluster is asked: whatever kubeconfig there
# is stays unread.
#
#   kubectl                  each kustomization is built
#   etcd, kube-apiserver     a server of its own, which takes all of it: a dry run without a warning, then for good, read back without a
#                            difference; and pods of every template under the namespace's Pod Security
#   AICLIPX_CRDS=DIR         prometheus-operator's CRDs (its release's example/prometheus-operator-crd), for the overlay `operator`
#   podman                   the base's pods by `podman play kube`: answering, scraped, drained under traffic; found through the server by a
#                            Prometheus that was built with the discovery of pods (Debian's wasn't), else from files of targets; then the
#                            pods of both Jobs: a ledger of their parts, and the bundle of a drill
#
# What is not here is named, and what was not shown with it. It stops what it started. Exit codes: 0, or 1 when something was not as it
# should be.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'kubernetes: %s\n' "$*"; }
not_run() { printf '*** NOT RUN: %s\n' "$*"; }
fail() { printf 'kubernetes: %s\n' "$*" >&2 && exit 1; }

tool=$1
folder=$(mktemp -d)
export KUBECONFIG=$folder/config
started=()
ended() {
  local pid left=100
  # The server before its store, without which it would not end.
  for pid in $(printf '%s\n' "${started[@]}" | tac); do
    kill "$pid" 2>/dev/null || continue
    while kill -0 "$pid" 2>/dev/null && ((left--)); do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf -- "$folder"
}
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command -v kubectl >/dev/null || { not_run 'deploy/kubernetes, for kubectl is not on PATH'; exit 0; }
say "$(kubectl version --client 2>/dev/null | tr '\n' ' ')"
# Beside what is applied as it lies there, three lists of somebody's own: a base with both components; an operator's cluster with another
# namespace, links and a database behind a pooler; and a store elsewhere that wants a token.
mkdir -p "$folder/tree/scripts" "$folder/tree"/{mine,shop,written}
cp -r deploy monitoring "$folder/tree/"
cp -r scripts/traffic "$folder/tree/scripts/"
AICLIPX_HOME=$PWD "$tool" render --kubernetes --namespace aiclipx-shop --external-url https://watch.example.org \
  --remote-write https://mimir.example.org/api/v1/push --remote-write-token-file /run/secrets/remote-write/token \
  --out "$folder/tree/made" 2>"$folder/said" || fail "$(<"$folder/said")"
cat >"$folder/tree/mine/kustomization.yaml" <<'EOF'
resources: [../deploy/kubernetes/base]
components: [../deploy/kubernetes/components/database, ../deploy/kubernetes/components/remote-write]
namespace: aiclipx-mine
EOF
cat >"$folder/tree/shop/kustomization.yaml" <<'EOF'
resources: [../deploy/kubernetes/overlays/operator]
components: [../deploy/kubernetes/components/database, ../made/operator]
namespace: aiclipx-shop
patches:
  - target: {kind: NetworkPolicy, name: app-database}
    patch: |-
      - {op: replace, path: /spec/egress/0/ports/0/port, value: 6432}
EOF
cat >"$folder/tree/written/kustomization.yaml" <<'EOF'
resources: [../deploy/kubernetes/base]
components: [../made/remote-write]
namespace: aiclipx-written
EOF
all=(base overlays/local overlays/operator jobs/traffic jobs/drill jobs/drill-bundles mine shop written)
place() { if [[ -d $folder/tree/$1 ]]; then printf '%s' "$folder/tree/$1"; else printf '%s' "deploy/kubernetes/$1"; fi; }
for one in "${all[@]}"; do
  kubectl kustomize "$(place "$one")" >"$folder/${one//\//-}.yaml" 2>"$folder/said" || { cat "$folder/said" >&2 && fail "$one can't be built"; }
  [[ ! -s $folder/said ]] || fail "$one: $(<"$folder/said")"
  say "$one: $(grep -c '^kind:' "$folder/${one//\//-}.yaml") objects"
done

for program in etcd kube-apiserver openssl; do
  command -v "$program" >/dev/null || { not_run "a server's own word on them, for $program is not on PATH"; exit 0; }
done

# --- a server of its own -----------------------------------------------------------------------------------------------------

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
eventually() {
  local left=600
  until "$@" >/dev/null 2>&1; do
    ((left--)) || { tail -n 20 "$folder"/*.log >&2 && fail "waited in vain for: $*"; }
    sleep 0.2
  done
}
# Pods reach it at their network's gateway; without podman nobody but this machine does.
address=127.0.0.1
if scripts/kubernetes.py can-run >"$folder/said"; then
  address=$(scripts/kubernetes.py network)
  trap 'scripts/kubernetes.py down; ended' EXIT
else
  not_run "the pods themselves: $(<"$folder/said")"
fi
etcd=$(free_port) peer=$(free_port) port=$(free_port)
etcd --data-dir "$folder/etcd" --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
  --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
  --initial-cluster "default=http://127.0.0.1:$peer" >"$folder/etcd.log" 2>&1 &
started+=($!)
openssl genrsa -out "$folder/key" 2048 2>/dev/null
token=$(openssl rand -hex 16)
printf '%s,admin,admin,system:masters\n' "$token" >"$folder/tokens"
kube-apiserver --etcd-servers "http://127.0.0.1:$etcd" --bind-address "$address" --advertise-address "$address" --secure-port "$port" \
  --cert-dir "$folder" --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$folder/key" \
  --service-account-signing-key-file "$folder/key" --token-auth-file "$folder/tokens" --authorization-mode RBAC \
  --service-cluster-ip-range 10.96.0.0/16 --endpoint-reconciler-type none >"$folder/apiserver.log" 2>&1 &
started+=($!)
eventually test -s "$folder/apiserver.crt"
kubectl config set-cluster trial --server "https://$address:$port" --certificate-authority "$folder/apiserver.crt" >/dev/null
kubectl config set-credentials admin --token "$token" >/dev/null
kubectl config set-context trial --cluster trial --user admin >/dev/null
kubectl config use-context trial >/dev/null
eventually kubectl get --raw /readyz
say "kube-apiserver $(kubectl version -o json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)",/\1/p'), etcd $(etcd --version | sed -n 's/^etcd Version: //p')"

# Without a warning, or what it said.
quietly() {
  "$@" >"$folder/told" 2>"$folder/said" || { cat "$folder/said" >&2 && fail "$*"; }
  [[ ! -s $folder/said ]] || fail "$*: $(<"$folder/said")"
}
if [[ ${AICLIPX_CRDS:-} ]]; then
  # Its kinds, and what the operator itself asks for.
  kubectl apply --server-side -f "$AICLIPX_CRDS" >/dev/null
  for kind in servicemonitors prometheusrules probes alertmanagerconfigs; do eventually kubectl get "$kind.monitoring.coreos.com"; done
else
  not_run 'the overlay operator, for AICLIPX_CRDS names no folder of its CRDs'
  all=("${all[@]/overlays\/operator/}")
  all=("${all[@]/shop/}")
fi
quietly kubectl apply --server-side -f deploy/kubernetes/base/common/namespace.yaml
for one in mine shop written; do kubectl create namespace "aiclipx-$one" >/dev/null; done
for one in "${all[@]}"; do
  # A pod is refused without its account, which its Job brings.
  [[ $one && $one != jobs/drill-bundles ]] || continue
  quietly kubectl apply --server-side --dry-run=server -k "$(place "$one")"
  say "$one: taken by a dry run, $(wc -l <"$folder/told") objects, no warning"
done
# For good, each in a namespace of its own: a disk can't be taken from a StatefulSet that has one.
for one in "${all[@]}"; do
  [[ $one ]] || continue
  namespace=aiclipx
  [[ $one == base ]] || namespace=aiclipx-${one##*/}
  # Of the Job before it.
  [[ $one != jobs/drill-bundles ]] || namespace=aiclipx-drill
  sed -E "s/^(  namespace|  name|- namespace): aiclipx\$/\1: $namespace/" "$folder/${one//\//-}.yaml" >"$folder/applied.yaml"
  kubectl create namespace "$namespace" >/dev/null 2>&1 || true
  kubectl label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
  quietly kubectl apply --server-side --force-conflicts -f "$folder/applied.yaml"
  count=$(wc -l <"$folder/told")
  quietly kubectl diff --server-side --force-conflicts -f "$folder/applied.yaml"
  kubectl get -f "$folder/applied.yaml" -o name >"$folder/told"
  [[ $(wc -l <"$folder/told") == "$count" ]] || fail "$one: $count objects applied, $(wc -l <"$folder/told") read back"
  say "$one: applied, $count objects read back, no difference"
done
may() { kubectl auth can-i --namespace "$1" "${@:2}" --as system:serviceaccount:aiclipx:prometheus 2>/dev/null || true; }
[[ $(may aiclipx watch pods) == yes && $(may aiclipx get secrets) == no && $(may default list pods) == no ]] ||
  fail 'Prometheus may do other than to look at the pods of its namespace'
say 'Prometheus may watch the pods of its namespace, and neither read its Secrets nor look into another'
scripts/kubernetes.py admitted || fail 'the namespace refuses a pod'
[[ $address != 127.0.0.1 ]] || exit 0
scripts/kubernetes.py run "https://$address:$port" "$folder/apiserver.crt" "$tool"
