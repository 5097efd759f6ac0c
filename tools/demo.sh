#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Shows weir at work: a preforked HTTP server under load, of which a worker is killed on the way, and a replayed
# access log. Installs what is missing and builds first. Argument: an access log to replay.
set -euo pipefail

say() { printf '\n== %s\n' "$*"; }
fail() {
  echo "demo: $*" >&2
  exit 1
}

log=${1:+$(realpath -- "$1")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z $log ]]; then
  log=../shared/data/apache_access.log
  [[ -r $log ]] || log=examples/replay/access.log
fi
[[ -r $log ]] || fail "access log \"$log\" cannot be read; name another: tools/demo.sh LOG"

say "Installing what is missing"
tools/install-deps.sh wrk curl

say "Building the server and the tools in build/release"
cmake --preset release
cmake --build --preset release --target captions_server shm-inspect weir-replay weir-run

bin=build/release/bin
segment=demo-$$
scratch=$(mktemp -d)
server=
load=
jobs=()

# A demo that was killed cannot remove its segments, which are named after its process. Its server ended with it.
for file in /dev/shm/weir.v*.demo-*; do
  pid=${file##*.demo-} pid=${pid%%-*}
  [[ ! $pid =~ ^[0-9]+$ || -e /proc/$pid ]] || rm -f -- "$file" 2>/dev/null || true
done

stop() { # PID, or nothing
  [[ -n $1 ]] || return 0
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

clean_up() {
  trap '' INT TERM
  stop "$load"
  stop "$server"
  ((${#jobs[@]} == 0)) || kill -KILL "${jobs[@]}" 2>/dev/null || true
  if [[ -n $server ]]; then
    "$bin/shm-inspect" --segment "$segment" remove --yes >/dev/null || true
  fi
  "$bin/shm-inspect" --segment "$segment-jobs" remove --yes >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Starting 4 workers under the built-in limits, in shared-memory segment \"$segment\""
setpriv --pdeathsig TERM "$bin/captions_server" --port 0 --workers 4 --segment "$segment" >"$scratch/out" 2>"$scratch/err" &
server=$!
until grep -q '^listening on' "$scratch/out"; do
  kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat "$scratch/err")"
  sleep 0.05
done
url=http://$(sed -n 's/^listening on //p' "$scratch/out")/api/v14
echo "the server answers at $url"

ask() { # METHOD PATH [BODY [USER]]
  curl --silent --show-error --max-time 5 --include --request "$1" "$url/$2" \
    --header "Authorization: Bearer demo-key-${4:-alice}" ${3:+--data "$3"}
}
wish='{"content_description": "Sunset over the sea", "hashtag_count": 3}'

say "One request: POST /api/v14/generate $wish"
ask POST generate "$wish"

# Every thread counts for itself; done() runs once, at the end, and adds up.
cat >"$scratch/load.lua" <<'LUA'
local users = {"alice", "bob", "carol", "dave", "mallory"}  -- mallory has no key
local wish = '{"content_description": "Sunset over the sea", "hashtag_count": 3}'
local work = {
  {"/api/v14/generate", wish},
  {"/api/v14/generate/priority", '{"content_description": "Breaking news", "priority_level": 5}'},
  {"/api/v14/batch", '{"requests": [' .. wish .. ", " .. wish .. "]}"},
  {"/api/v14/generate", '{"content_description": '},
}
local threads = {}
local number = 0

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  answers = {}
end

function request()
  number = number + 1
  local user = users[number % #users + 1]
  local path, body = unpack(work[number % #work + 1])
  return wrk.format("POST", path, {["Authorization"] = "Bearer demo-key-" .. user}, body)
end

function response(status)
  local name = tostring(status)
  answers[name] = (answers[name] or 0) + 1
end

function done()
  local total = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("answers")) do
      total[status] = (total[status] or 0) + count
    end
  end
  local meaning = {["200"] = "captions", ["400"] = "not JSON", ["401"] = "no known key", ["429"] = "over a limit",
                   ["503"] = "no permit, or the breaker is open"}
  for _, status in ipairs({"200", "400", "401", "403", "404", "405", "413", "429", "500", "503"}) do
    if total[status] then
      io.write(string.format("  %s %9d  %s\n", status, total[status], meaning[status] or ""))
    end
  end
end
LUA

say "HTTP traffic of four users and one without a key for 6 seconds; a worker is killed after 2"
wrk --threads 2 --connections 16 --duration 6s --script "$scratch/load.lua" "${url%/api/v14}" >"$scratch/wrk" &
load=$!
sleep 2
victim=$(ask GET limits/status | tr -d '\r' | sed -n 's/^X-Worker: //p')
kill -KILL "$victim"
echo "killed worker $victim"
wait "$load" || fail "wrk failed: $(cat "$scratch/wrk")"
load=
cat "$scratch/err"

say "What wrk saw, answers by status code last"
cat "$scratch/wrk"

say "The segment, seen from outside: shm-inspect --segment $segment status"
"$bin/shm-inspect" --segment "$segment" status

say "Permits of killed jobs come back: three jobs hold all three permits, and count themselves in a file, too"
cat >"$scratch/jobs.toml" <<TOML
segment = { name = "$segment-jobs", users = 100 }
operations.export.concurrent = 3
TOML
export scratch
job='add() { flock "$scratch/lock" -c "echo \$((\$(cat $scratch/counter) + $1)) >$scratch/counter"; }
     add 1; echo started >"$scratch/started"; read -r <"$scratch/never"; add -1'
echo 0 >"$scratch/counter"
mkfifo "$scratch/started" "$scratch/never"
exec {started}<>"$scratch/started" # held open: one that is opened for each job may meet the end of the one before
for _ in 1 2 3; do
  setpriv --pdeathsig KILL "$bin/weir-run" --config "$scratch/jobs.toml" --operation export -- bash -c "$job" &
  jobs+=($!)
  read -r -u "$started"
done
exec {started}<&-
inspect_jobs() { "$bin/shm-inspect" --segment "$segment-jobs" "$@"; }
inspect_jobs workers
echo "a fourth job:"
"$bin/weir-run" --segment "$segment-jobs" --operation export -- true || echo "  refused, exit status $?"
{ kill -KILL "${jobs[@]}" && wait "${jobs[@]}"; } 2>/dev/null || true # without the shell's own word on each
jobs=()
echo "all three are killed (SIGKILL); none of them could give anything back:"
inspect_jobs workers
echo "  the counter in the file still says $(cat "$scratch/counter") of 3: it would refuse every job from now on"
echo "a fourth job under weir:"
"$bin/weir-run" --segment "$segment-jobs" --operation export -- echo "  runs"

inspect() { "$bin/shm-inspect" --segment "$segment" "$@"; }
worker_of() { tr -d '\r' <<<"$1" | sed -n 's/^X-Worker: //p'; }
briefly() { # WHO ANSWER
  tr -d '\r' <<<"$2" | awk -v who="$1" '/^HTTP/ { s = $2 } /^X-Worker/ { w = $2 } /^Retry-After/ { r = ", Retry-After: " $2 }
    END { printf "  %-16s %s from worker %s%s\n", who, s, w, r }'
}

say "A limit changed while the workers run"
for _ in {1..8}; do
  answer=$(ask POST generate "$wish")
  [[ $answer == HTTP/*\ 429* ]] && break
done
echo "before:"
briefly "alice asks" "$answer"
inspect set operations.caption_generation.rate '["600/min burst 100"]'
inspect set operations.caption_generation.user.rate '["600/min burst 100"]'
for _ in {1..20}; do # what has been spent stays spent, and comes back at the new rate: ten a second
  answer=$(ask POST generate "$wish")
  [[ $answer == HTTP/*\ 200* ]] && break
  sleep 0.1
done
echo "after:"
briefly "alice asks" "$answer"
inspect history
inspect users --top 4
inspect rollback
inspect rollback

say "A breaker that trips: it opens after 3 failures in a row, for 3 seconds, and then lets 2 probes through"
breaker=operations.caption_generation
inspect set $breaker.breaker '{ failures = 3, recovery = "3s", probes = 2, successes = 2 }'
inspect set $breaker.rate '["600/min burst 100"]'
inspect set $breaker.user.rate '["600/min burst 100"]'
ask POST limits/reset '{}' admin >/dev/null # the load has left the buckets empty
failed=
for _ in 1 2 3; do
  answer=$(ask POST "generate?fail=1" "$wish" admin)
  briefly "the model fails" "$answer"
  failed+=" $(worker_of "$answer") "
done
echo "open, for all workers; here one that saw no failure itself:"
for _ in {1..20}; do
  answer=$(ask POST generate "$wish")
  [[ $failed == *" $(worker_of "$answer") "* ]] || break
done
briefly "alice asks" "$answer"
inspect status | grep -E "^BREAKERS|^${breaker#operations.}  +[a-z_]+ "
sleep 3.1
echo "3 seconds later, four calls of half a second at once: two of them are the probes"
for number in 1 2 3 4; do
  { answer=$(ask POST "generate?slow=1" "$wish" admin) && briefly "slow call $number" "$answer"; } &
  sleep 0.05
done
wait $(jobs -p | grep -vx "$server")
echo "closed again:"
briefly "alice asks" "$(ask POST generate "$wish")"

say "A queue of the host: a job holds the only permit, requests wait by priority, and the job is killed"
inspect set $breaker.concurrent 1
"$bin/weir-run" --segment "$segment" --operation caption_generation --user job -- sleep 60 &
holder=$!
disown "$holder" # so that the shell does not report its end
until inspect workers | grep -q weir-run; do sleep 0.02; done
waiting=0
for level in 1 3 5; do
  wish_now="{\"content_description\": \"Waiting\", \"priority_level\": $level}"
  { answer=$(ask POST "generate/priority?slow=1" "$wish_now" admin) && briefly "priority $level" "$answer"; } &
  waiting=$((waiting + 1))
  until [[ $(inspect status --json | grep -c '"lacks"') == "$waiting" ]]; do sleep 0.02; done
done
inspect status | grep -E '^QUEUES|^operations.caption_generation.queue'
kill -KILL "$holder"
wait $(jobs -p | grep -vx "$server") || true
inspect set $breaker.concurrent 20

say "Replaying $log through examples/replay/limits.toml"
"$bin/weir-replay" --config examples/replay/limits.toml "$log"

say "Done: stopping the server, removing its segment"
