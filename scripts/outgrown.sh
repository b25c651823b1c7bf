#!/usr/bin/env bash
# scripts/outgrown.sh TOOL: three replicas that share a PostgreSQL, under traffic: one is killed and stays away, the database is restarted
# under it, the replica comes back. At the end the ledger of the client, the counters of the service and the rows of the database must say
# the same: evidence holds the counters to the ledger, in sum and by replica, and each row is held to the request that made it. What a
# client was told is kept is kept, once; a row beside these is of a request whose answer left it open (503).
# Takes some two minutes. What fails is kept, and said where. Exit codes: 0, or 1.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

tool=$1
folder=$(mktemp -d "${TMPDIR:-/tmp}/outgrown.XXXXXX")
# Where the user is root the server is somebody else, who must come to its data.
chmod a+x "$folder"
state=$folder/state
say() { printf 'outgrown: %s\n' "$*"; }
fail() { say "$*; the stack's state and the ledger are in $folder" >&2 && exit 1; }
trap '"$tool" down --state "$state" >/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cat >"$folder/15-outgrown.toml" <<'SCENARIO'
title = "Three replicas with one database: a replica is killed, the database is restarted, the replica comes back"
replicas = 3

requests = [
  { weight = 2, path = "/" },
  { weight = 3, path = "/items" },
  { weight = 5, method = "POST", path = "/items", body = '{"name":"item-{seq}"}' },
]

[[phase]]
name = "before"
duration = "5m"
rate = 100

# So that the last scrape before the kill has seen every request: what was counted after it would be lost with the process.
[[phase]]
name = "settled"
duration = "1m"
silent = true

[[phase]]
name = "killing"
duration = "1m"
silent = true
kill = ["app-2"]
stop = ["app-2"]

[[phase]]
name = "two-of-three"
duration = "5m"
rate = 100

[[phase]]
name = "restarted"
duration = "5m"
rate = 100
restart = ["database"]
provokes = true

[[phase]]
name = "back"
duration = "10m"
rate = 100
start = ["app-2"]

# What is proven here are numbers; when these fire is for 12-replica-killed and 14-database-away to say.
[expect]
may_fire = ["AppInstanceDown", "AppDatabaseUnavailable", "AppNotReady", "AppHigh5xxErrorRate", "AppHighExceptionRate", "AppErrorBudgetBurn1h", "AppErrorBudgetBurn6h"]
SCENARIO

scripts/with-postgres.sh "$tool" up --state "$state" --free-ports --replicas 3 --database || fail 'the stack does not start'
"$tool" traffic "$folder/15-outgrown.toml" --state "$state" --ledger "$folder/ledger.jsonl" || fail 'traffic failed'
"$tool" evidence --state "$state" --out "$folder/bundles" --require outgrown/counters || fail 'evidence does not hold'

# Each item is called by the number of the request that made it.
requests_with() { sed -n "/\"method\":\"POST\"/ s/^{\"seq\":\([0-9]*\),.*\"status\":$1}\$/item-\1/p" "$folder/ledger.jsonl" | sort; }
requests_with 201 >"$folder/acknowledged"
requests_with 503 >"$folder/refused"
at=$(sed -n 's/.*"database": *"\([^"]*\)".*/\1/p' "$state/stack.json" | head -n 1)
asked() {
  PGPASSFILE=$state/secrets/database_passfile psql --no-psqlrc --quiet --tuples-only --no-align --command "$1" \
    "postgres://aiclipx@$at/aiclipx?sslmode=disable"
}
asked 'SELECT name FROM aiclipx_items' | sort >"$folder/rows"

count() { wc -l <"$folder/$1"; }
counted=$(asked 'SELECT items FROM aiclipx_store')
[[ $counted == "$(count rows)" ]] || fail "the database counts $counted items and has $(count rows)"
[[ -s $folder/acknowledged ]] || fail 'no item was made'
[[ ! $(uniq -d "$folder/rows") ]] || fail "these are kept twice: $(uniq -d "$folder/rows" | head -n 3 | paste -sd ' ')"
lost=$(comm -13 "$folder/rows" "$folder/acknowledged")
[[ ! $lost ]] || fail "these were answered 201 and are not kept: $(head -n 3 <<<"$lost" | paste -sd ' ')"
comm -23 "$folder/rows" "$folder/acknowledged" >"$folder/open"
strange=$(comm -23 "$folder/open" "$folder/refused")
[[ ! $strange ]] || fail "these are kept and were neither answered 201 nor 503: $(head -n 3 <<<"$strange" | paste -sd ' ')"
say "$(count acknowledged) items answered 201, $(count rows) rows, of which $(count open) are of the $(count refused) requests answered 503"
trap '"$tool" down --state "$state" >/dev/null; rm -rf -- "$folder"' EXIT
