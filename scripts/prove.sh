#!/usr/bin/env bash
# Everything that the simulator has to prove, with what came of it in docs/proof-run.md. Takes about 80
# minutes on two cores. Exits with 1 if anything failed; the document is written in any case.
#
# SCALE=N runs an Nth of every campaign, and the document says so.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
source scripts/rocksdb.sh || exit 1

target=${CARGO_TARGET_DIR:-target}
scale=${SCALE:-1}
jobs=$(nproc)
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
mkdir -p "$target"
document=docs/proof-run.md
failed=0

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$1" >&2; }
row() { printf '%s\n' "$1" >>"$out/$2"; }
share() { echo $((($1 + scale - 1) / scale)); }

# The last line that a command printed, or that it failed; every output is shown if it did.
verdict() {
    local name=$1 file=$out/log
    shift
    say "$name"
    if "$@" >"$file" 2>"$out/errors"; then
        tail -n 1 "$file"
    else
        failed=1
        grep -A 3 '^FAIL' "$file" >&2
        tail -n 3 "$file" "$out/errors" >&2
        printf 'FAILED: %s' "$(tail -n 1 "$file")"
    fi
}

# campaign FILE JOBS PROFILE SEEDS
campaign() {
    local profile=$3 seeds
    seeds=$(share "$4")
    verdict "$profile, $seeds seeds, jobs $2" "$target/release/quorate" simulate --profile "$profile" --seed 1 \
        --seeds "$seeds" --jobs "$2" --failures "$target/simulation-failures" >"$out/line"
    row "| \`--profile $profile --seed 1 --seeds $seeds --jobs $2\` | $(cat "$out/line") |" "$1"
}

# Seeds of several profiles, one line each with its verdict and its trace hash.
traces() {
    local profile seeds
    for profile in lite:100 swarm:40 reconfigure:20 byzantine:20 storage:20; do
        seeds=$(share "${profile#*:}")
        "$target/release/quorate" simulate --profile "${profile%:*}" --seed 1 --seeds "$seeds" --jobs "$jobs" \
            --failures "$target/simulation-failures" 2>/dev/null | grep -E '^(PASS|FAIL)' | sort
    done
}

say "builds"
cargo build --release --locked --workspace --bins --example every_call || exit 1

campaign speed 1 lite 1000
campaign speed 1 swarm 60
campaign speed 1 twins 4000

campaign campaigns "$jobs" lite 20000
campaign campaigns "$jobs" swarm 2000
campaign campaigns "$jobs" byzantine 1000
campaign campaigns "$jobs" storage 1000
campaign campaigns "$jobs" reconfigure 500
campaign campaigns "$jobs" exact-quorum 300
campaign campaigns "$jobs" correlated 300
campaign campaigns "$jobs" poison 300
# 43,264 cases in each of two modes: a twin that does not notice the other one, and one that does.
campaign campaigns "$jobs" twins 86528

again=$(share 60)
crashes="a crash at every operation on the disks"
[ "$scale" = 1 ] || crashes="a crash at one of $scale operations on the disks"
verdict "$crashes" "$target/release/examples/every_call" 1 "$scale" "$again" >"$out/line"
row "| $crashes of a run of 50 blocks, and after $again points again at every early operation of the recovery | $(cat "$out/line") |" campaigns

say "the same seeds in two processes"
traces >"$out/first"
traces >"$out/second"
if [ -s "$out/first" ] && cmp -s "$out/first" "$out/second"; then
    same="$(wc -l <"$out/first") runs, all hashes equal"
else
    failed=1
    same="FAILED: $(diff "$out/first" "$out/second" | grep -c '^<') of $(wc -l <"$out/first") runs differ"
fi
row "| the same seeds of five profiles in two processes | $same |" campaigns

say "bugs planted on purpose"
if make --no-print-directory zoo ARGS="--jobs $jobs" >"$out/zoo" 2>"$out/errors"; then :; else
    failed=1
    tail -n 5 "$out/zoo" "$out/errors" >&2
fi

{
    printf '# Proof run\n\nWritten by `make prove`; do not edit.\n\n'
    printf '| | |\n|---|---|\n'
    printf '| date | %s |\n' "$(date -u +%Y-%m-%d)"
    printf '| commit | %s%s |\n' "$(git rev-parse HEAD)" "$(git diff --quiet HEAD -- . ':!docs/proof-run.md' || echo ', with changes')"
    printf '| compiler | %s |\n' "$(rustc --version)"
    printf '| machine | %s, %s cores used |\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$jobs"
    printf '| checks | overflow checks everywhere, debug assertions in all crates that decide |\n'
    [ "$scale" = 1 ] || printf '| extent | **one part in %s of the whole list** |\n' "$scale"
    printf '| verdict | %s |\n\n' "$([ "$failed" = 0 ] && echo passed || echo FAILED)"
    printf '## Campaigns\n\nEach with `quorate simulate`; a campaign that proves nothing counts as failed.\n\n'
    printf '| what | result |\n|---|---|\n'
    cat "$out/campaigns"
    printf '\n## Speed\n\nOne thread on one core, nothing else running.\n\n| what | result |\n|---|---|\n'
    cat "$out/speed"
    printf '\n## Bugs planted on purpose\n\nEach is planted alone; `make zoo` tells how it was found.\n\n```text\n'
    grep -v '^RocksDB library' "$out/zoo"
    printf '```\n'
} >"$document"
say "$document: $([ "$failed" = 0 ] && echo passed || echo FAILED)"
exit "$failed"
