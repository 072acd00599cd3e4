#!/usr/bin/env bash
# One axum application on tokio and on runnext, under load from wrk.
#
#   bash benches/http.sh                two minutes or so, and those that compiling takes
#   bash benches/http.sh --smoke        that it works: a second or so
#   bash benches/http.sh --no-install   exits with 77 if wrk or curl is missing
#
#   CONNECTIONS=64 THREADS=2 SECONDS_EACH=5 ROUNDS=5 WORKERS=2 TARGET_PATH=/ bash benches/http.sh
#
# wrk and curl are installed when they are missing (apt-get, as root or by sudo that asks for nothing).
# The servers are `benches/http/on_tokio.rs` and `on_runnext.rs`, of one source. A round is four turns:
# tokio, runnext, runnext, tokio; what slows the machine down for a while slows both. A turn is a fresh
# server, a second of load that is not counted, and SECONDS_EACH that are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install=true
smoke=false
for option in "$@"; do
    case $option in
    --smoke) smoke=true ;;
    --no-install) install=false ;;
    *)
        echo "error: no option $option; there are --smoke and --no-install" >&2
        exit 2
        ;;
    esac
done

workers=${WORKERS:-2}
connections=${CONNECTIONS:-64}
threads=${THREADS:-2}
seconds=${SECONDS_EACH:-5}
rounds=${ROUNDS:-5}
path=${TARGET_PATH:-/}
warm_up=1
if $smoke; then
    rounds=1 seconds=1 warm_up=0
fi

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo --non-interactive "$@"; fi
}

missing=()
for tool in wrk curl; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    if ! $install || ! {
        echo "installing ${missing[*]}"
        { as_root apt-get update -qq && as_root apt-get install -qq --yes "${missing[@]}"; } >/dev/null
    }; then
        echo "!!! ${missing[*]} missing: NOTHING was measured" >&2
        exit 77
    fi
fi

cargo build --release --package runnext-http-bench
bin=${CARGO_TARGET_DIR:-$PWD/target}/release

scratch=$(mktemp -d)
server=
stop() {
    [[ -z $server ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    server=
}
trap 'stop; rm -rf "$scratch"' EXIT

fail() {
    echo "error: $*" >&2
    exit 1
}

# Clock ticks of processor time, and voluntary context switches, of the server until now.
used() {
    local stat switches
    stat=$(<"/proc/$server/stat")
    read -r -a stat <<<"${stat##*) }"
    switches=$(cat /proc/"$server"/task/*/status 2>/dev/null | awk '/^voluntary/ { n += $2 } END { print n }')
    echo "$((stat[11] + stat[12])) $switches"
}

ticks=$(getconf CLK_TCK)

# One turn. Appends to the file NAME: requests/s, p50 and p99 in µs, processor time in µs and voluntary
# context switches for each request.
turn() { # NAME
    local port address word rate p50 p99 requests failures before after
    exec {port}< <(exec "$bin/http_$1" "$workers")
    server=$!
    read -r -t 10 -u "$port" address || fail "the server on $1 has printed no address"
    # The same answers from both.
    curl --silent --show-error --fail --max-time 10 "http://$address$path" >"$scratch/answer.$1"
    local load=(wrk --threads "$threads" --connections "$connections" --script benches/http/report.lua)
    if [[ $warm_up -gt 0 ]]; then
        "${load[@]}" --duration "${warm_up}s" "http://$address$path" >/dev/null
    fi
    before=($(used))
    "${load[@]}" --duration "${seconds}s" "http://$address$path" >"$scratch/wrk"
    after=($(used))
    read -r word rate p50 p99 requests failures < <(grep '^report ' "$scratch/wrk") ||
        fail "wrk has no report: $(<"$scratch/wrk")"
    [[ $requests -gt 0 && $failures -eq 0 ]] || fail "on $1, $failures of $requests requests failed"
    awk -v rate="$rate" -v p50="$p50" -v p99="$p99" -v requests="$requests" -v tick="$ticks" \
        -v used=$((after[0] - before[0])) -v switches=$((after[1] - before[1])) 'BEGIN {
            print rate, p50, p99, used / tick * 1e6 / requests, switches / requests
        }' >>"$scratch/$1"
    stop
    exec {port}<&-
}

for ((round = 1; round <= rounds; round++)); do
    for name in tokio runnext runnext tokio; do
        turn "$name"
        echo "round $round of $rounds, $name: $(awk 'END { printf "%d requests/s", $1 }' "$scratch/$name")"
    done
done
cmp "$scratch"/answer.{tokio,runnext} || fail "the answers differ"

# The median of a column of what it is given.
median() { # COLUMN
    awk -v column="$1" '{ print $column }' | sort -g |
        awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# Turns of the same number stand beside each other in time: their ratio is one of two neighbours.
row() { # WORDS COLUMN FORMAT
    local tokio runnext ratio
    tokio=$(median "$2" <"$scratch/tokio")
    runnext=$(median "$2" <"$scratch/runnext")
    ratio=$(paste -d' ' "$scratch/tokio" "$scratch/runnext" |
        awk -v a="$2" '{ b = a + NF / 2; print ($a > 0 ? $b / $a : 1) }' | median 1)
    printf "| %s | $3 | $3 | %.2f |\n" "$1" "$tokio" "$runnext" "$ratio"
}

echo
echo "GET $path, $connections connections, wrk with $threads threads, $workers workers," \
    "$((2 * rounds)) turns of $seconds s each; medians:"
echo
echo "| | tokio | runnext | runnext / tokio |"
echo "|---|--:|--:|--:|"
row "requests/s" 1 "%.0f"
row "p50, µs" 2 "%.0f"
row "p99, µs" 3 "%.0f"
row "processor time of a request, µs" 4 "%.1f"
row "voluntary context switches of a request" 5 "%.3f"
