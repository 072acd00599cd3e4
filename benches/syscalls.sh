#!/usr/bin/env bash
# The system calls of one echo round trip of 64 bytes over TCP, both ends in one runtime: tokio's and runnext's.
#
#   bash benches/syscalls.sh                a minute or so, and the time that compiling takes
#   bash benches/syscalls.sh --smoke        that it works: a few seconds
#   bash benches/syscalls.sh --no-install   exits with 77 if strace is missing
#
#   ROUNDS=100 TURNS=5 bash benches/syscalls.sh
#
# strace is installed when it is missing (apt-get, as root or by sudo that asks for nothing). Each process makes ROUNDS
# round trips, or three times as many, on each of 64 connections, with two workers; the difference is what the round
# trips took. They take turns, and the medians of TURNS are printed. Under strace every call takes many times as long,
# so how often threads wait is not what it is without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install=true
rounds=${ROUNDS:-100}
turns=${TURNS:-5}
for option in "$@"; do
    case $option in
    --smoke) rounds=10 turns=1 ;;
    --no-install) install=false ;;
    *)
        echo "error: no option $option; there are --smoke and --no-install" >&2
        exit 2
        ;;
    esac
done

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo --non-interactive "$@"; fi
}

if ! command -v strace >/dev/null; then
    if ! $install || ! {
        echo "installing strace"
        { as_root apt-get update -qq && as_root apt-get install -qq --yes strace; } >/dev/null
    }; then
        echo "!!! strace missing: NOTHING was counted" >&2
        exit 77
    fi
fi

# Once for its messages, and once more for where the program is.
cargo bench --bench vs_tokio --no-run
program=$(cargo bench --bench vs_tokio --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*vs_tokio-[^"]*\)".*/\1/p' | tail -1)
[[ -x $program ]] || {
    echo "error: cargo has not said where the benchmark is" >&2
    exit 1
}
counts=$(mktemp)
results=$(mktemp)
trap 'rm -f "$counts" "$results"' EXIT

# All calls of a process with so many rounds; `strace` sums them up in the line that ends with "total".
calls() {
    strace -f -c -U calls,name -o "$counts" "$program" --child echo "$1" "$2" 2 true >/dev/null
    awk '$2 == "total" { print $1 }' "$counts"
}

median() {
    sort -n | awk '{ n[NR] = $1 } END { print NR % 2 ? n[(NR + 1) / 2] : (n[NR / 2] + n[NR / 2 + 1]) / 2 }'
}

for ((turn = 0; turn < turns; turn++)); do
    for side in tokio runnext; do
        few=$(calls "$side" "$rounds")
        many=$(calls "$side" $((3 * rounds)))
        awk -v side="$side" -v calls=$((many - few)) -v trips=$((2 * rounds * 64)) \
            'BEGIN { printf "%s %.3f\n", side, calls / trips }' | tee -a "$results"
    done
done
tokio=$(sed -n 's/^tokio //p' "$results" | median)
runnext=$(sed -n 's/^runnext //p' "$results" | median)
echo
echo "system calls of a round trip, medians of $turns: tokio $tokio, runnext $runnext"
