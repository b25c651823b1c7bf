# The table of contents. On a machine without the tools: `./dev just RECIPE`; in `nix develop`: `just RECIPE`.

set positional-arguments
# Recipes run in bash, so that a pipe in one can't hide a failure.
set shell := ["bash", "-euo", "pipefail", "-c"]

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
tool := quote(target / "debug" / "aiclipx")
mutants := quote(target / "debug" / "aiclipx-mutants")
foreign := quote(target / "debug" / "aiclipx-foreign")
foreign_bars := "--bar rules=290/290 --bar tests=16/16 --bar prometheus=34/36 --bar alertmanager=16/17 --bar dashboards=340/354"

# First, so that it is what a bare `just` does.
_list:
    @just --list --unsorted

# the whole story from nothing: build, up, traffic, evidence, down; the last line is the path of the report
[group('stack')]
demo: (_say "demo: step 1 of 5: build") _build
    @scripts/demo.sh {{ tool }}

# start the stack and wait until every component is ready; takes --speed, --replicas, --port NAME=PORT, --free-ports, --database
[group('stack')]
up *options: _build
    @scripts/with-postgres.sh {{ tool }} up "$@"

# stop the stack; its data stays
[group('stack')]
down: _build
    @{{ tool }} down

# stop components of the running stack, in their own time: app is the service with all its replicas, app-2 one of them
[group('stack')]
stop +names: _build
    @{{ tool }} stop "$@"

# start components of the running stack, and wait until they are ready
[group('stack')]
start +names: _build
    @{{ tool }} start "$@"

# restart components of the running stack; with --rolling the service's replicas one after the other, so that no request is lost
[group('stack')]
restart *names: _build
    @{{ tool }} restart "$@"

# show every component of the running stack, the active alerts, the silences that are set
[group('stack')]
status: _build
    @{{ tool }} status

# the stack in containers: every image from the flake where there is Nix, else built here or upstream's; takes --profile logs
[group('stack')]
compose-up *options:
    @scripts/compose.sh up "$@"

# stop the containers; their volumes stay
[group('stack')]
compose-down *options:
    @scripts/compose.sh down "$@"

# print the components' logs, merged by time; takes components, --level, --endpoint, --request-id, --since, --follow
[group('stack')]
logs *options: _build
    @{{ tool }} logs "$@"

# run scenarios against the running stack, all of them unless named; does the service count what was sent?
[group('proof')]
traffic *scenarios: _build
    @{{ tool }} traffic "$@"

# collect and judge what the running stack shows; without a stack, prove
[group('proof')]
evidence *options: _build
    @{{ tool }} evidence "$@"

# every experiment on a private stack of its own
[group('proof')]
prove *options: _build
    @scripts/with-postgres.sh {{ tool }} prove "$@"

# live the unit tests of rules, ours or those of a folder, on a real Prometheus and Alertmanager: fires, told, says, resolves
[group('proof')]
drill *options: _build
    @{{ tool }} drill "$@"

# prove a service that nobody here wrote: flask, caddy; brings what it needs into .tools
[group('proof')]
example name *options: _build
    @scripts/example.sh "$@"

# break the monitoring on purpose, one thing at a time: a named claim must find each; some ten minutes
[group('proof')]
mutants *options: _build
    @{{ mutants }} "$@"

# how many of somebody else's files are read, and divided, out of DIR/{rules,tests,prometheus,alertmanager,dashboards,mixins}
[group('proof')]
[no-cd]
foreign dir *options: _build
    @{{ foreign }} {{ foreign_bars }} "$@"

# make evidence/sample anew: the small bundle that anyone can look at and verify
[group('proof')]
evidence-sample: _build
    @scripts/sample.sh {{ tool }}

# judge a bundle again, offline
[group('proof')]
[no-cd]
verify bundle *options: _build
    @{{ tool }} verify "$@"

# print the monitoring configuration as a local stack gets it
[group('monitoring')]
render *options: _build
    @{{ tool }} render "$@"

# make the rules of the objectives, prometheus/rules/slo.yml, of monitoring/slo.toml
[group('monitoring')]
slo: _build
    @{{ tool }} render --slo

# every static check of scenarios, rules, routes, dashboards, log forwarding, and of the Nix files; --live asks the running stack
[group('monitoring')]
check *options: _build
    @scripts/check.sh {{ tool }} "$@"

# the dashboards against Grafana's own schema, as its foundation SDK (PyPI) has it
[group('monitoring')]
schema *files:
    @scripts/dashboard-schema.sh "$@"

# what CI runs: formatting, lints, tests, static checks, one live experiment
[group('development')]
test: _formatted lint _tests _checked _live

# what takes long: every experiment, the mutants, the containers, and both README commands on machines that have nothing
[group('development')]
test-long: prove (prove "--database" "--only" "database-away") postgres outgrown mutants containers kubernetes fresh schema log-faults remote-write

# the service with PostgreSQL: lints, and all of its tests with the items in a database, which takes a server of the distribution's
[group('development')]
postgres $AICLIPX_NEEDS_POSTGRES="1":
    cargo clippy --locked --package aiclipx-app --features postgres --all-targets --target-dir {{ quote(target / "postgres") }} -- -D warnings
    cargo test --locked --package aiclipx-app --features postgres --target-dir {{ quote(target / "postgres") }}

# three replicas with one PostgreSQL under traffic, one killed, the database restarted: ledger = counters = rows
[group('development')]
outgrown: _build
    @scripts/outgrown.sh {{ tool }}

# the images and compose.yaml under podman and under Docker, whichever can run here
[group('development')]
containers *tests:
    @scripts/containers.sh "$@"

# deploy/kubernetes on an API server of its own, and its pods under podman: as much as what is on PATH allows, and what was left out
[group('development')]
kubernetes: _build
    @scripts/kubernetes.sh {{ tool }}

# the service beside bare hyper, bare warp and a Flask peer: instructions a request, rates as ratios of one run; some eight minutes
[group('development')]
bench-app:
    @scripts/bench-app.sh

# the traffic generator on the wall clock, beside wrk and hey; some two minutes
[group('development')]
bench-traffic:
    cargo build --locked --release --package aiclipx-app
    cargo bench --locked --bench traffic

# every fault of the log path on real stacks with Vector and Loki: a table of alerts, times and losses; all of them unless named
[group('development')]
log-faults *faults: _build
    @scripts/log-faults.py {{ tool }} "$@"

# a stack that also writes to a real VictoriaMetrics, which is away for a minute under traffic: the counts there are the ledger's
[group('development')]
remote-write: _build
    @scripts/remote-write.py {{ tool }}

# time the viewer's page of twelve panels over an hour of data, beside the bare answers it is drawn from
[group('development')]
bench-dashboard:
    cargo bench --locked --profile dev --bench dashboard

# format the Rust code and this file
[group('development')]
fmt:
    cargo fmt --all
    just --fmt --unstable

# lint Rust, shell and Nix
[group('development')]
lint:
    # The service by itself, with no more of any crate than it asks for; then all of them.
    cargo clippy --locked --package aiclipx-app --all-targets -- -D warnings
    cargo clippy --locked --all-targets -- -D warnings
    cargo doc --locked --no-deps --workspace --document-private-items --quiet
    shellcheck --external-sources dev .ci/run scripts/bin/* scripts/*.sh
    scripts/nix-files.sh

# demo and test on a new Debian or Ubuntu that holds nothing but Rust, Debian's stable and the one before unless named; needs root; takes --user, --keep DIR
[group('development')]
fresh *suites:
    @scripts/fresh.sh "$@"

# print every tool's version, the minimum version, where it was found, and every pin
[group('development')]
versions:
    @scripts/tools.sh
    @scripts/pins.sh

# move the pins: nixpkgs within its release, crates within their ranges, images' digests; then read `git diff` and run the tests
[group('development')]
update:
    @scripts/pins.sh update

# build a program as images carry it: static, release, into dist/; the service unless named
[group('development')]
dist *programs:
    @scripts/dist.sh "$@"

# stop the stack and remove its data, logs and secrets; evidence stays
[group('development')]
clean:
    @scripts/clean.sh {{ tool }}

# The original's scripts call it: 01_request_rate.sh … 06_alert_evidence_runner.sh.
_original *arguments: _build
    @scripts/original.sh {{ tool }} "$@"

# Not quiet: the first build takes minutes. It speaks on stderr.
_build:
    @scripts/build.sh

_say what:
    @printf '%s\n' {{ quote(what) }} >&2

_formatted:
    cargo fmt --all --check
    just --fmt --check --unstable

_tests:
    scripts/tests.sh

# For these two the programs are there: the tests built them, and a build of its own would build half of them again.
_checked $RULE_TESTS='ran':
    @scripts/check.sh {{ tool }}

_live:
    @scripts/live.sh {{ tool }}
