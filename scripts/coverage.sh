#!/usr/bin/env bash
# Measures which lines the tests run, and fails if it is less than 95 % of a crate
# on which safety rests: consensus, and replica with its vote log.
#   coverage.sh           a line for each file, each crate and the total
#   coverage.sh --lines   also the lines that nothing runs
# Only crates of the workspace are instrumented. Everything is built in a target folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

BAR=95
CRATES=(consensus replica)

# The tools must be of the compiler's own LLVM, or they do not understand what it writes.
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools() { compgen -G "/usr/lib/llvm-$llvm/bin" || compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin" || true; }
has_tools() { for folder in $(tools); do [ -x "$folder/llvm-cov" ] && [ -x "$folder/llvm-profdata" ] && bin=$folder; done; [ -n "${bin:-}" ]; }
if ! has_tools; then
    root=(); [ "$(id -u)" = 0 ] || root=(sudo)
    echo "coverage: installing llvm-$llvm" >&2
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "llvm-$llvm" >/dev/null
    has_tools || { echo "coverage: llvm-cov of LLVM $llvm is not to be had" >&2; exit 1; }
fi

scripts/setup.sh >&2
source scripts/rocksdb.sh >&2
folder=${CARGO_TARGET_DIR:-$PWD/target}/coverage
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -rf "$folder/profiles"
mkdir -p "$folder/profiles"
export CARGO_TARGET_DIR=$folder LLVM_PROFILE_FILE=$folder/profiles/%m.profraw

# Cargo calls this instead of the compiler, for crates of the workspace alone.
cat >"$folder/instrumented" <<'WRAPPER'
#!/bin/sh
exec "$@" -C instrument-coverage
WRAPPER
chmod +x "$folder/instrumented"
export RUSTC_WORKSPACE_WRAPPER=$folder/instrumented

packages=(-p quorate-simulator)
for crate in "${CRATES[@]}"; do packages+=(-p "quorate-$crate"); done
cargo test --release --locked "${packages[@]}" >&2


# Everything that was built and may have run.
mapfile -t programs < <(cargo test --release --locked "${packages[@]}" --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
objects=()
for program in "${programs[@]}"; do objects+=(--object "$program"); done
"$bin/llvm-profdata" merge --sparse "$folder"/profiles/*.profraw --output "$folder/profile"

# The sources of a crate, without its unit tests.
sources() { git ls-files "$1/src" | grep -v -e '/tests\.rs$' -e '/tests/' | sed "s|^|$PWD/|"; }
coverage() { # what to print, of which crates
    local what=$1 files=() crate
    shift
    for crate in "$@"; do mapfile -t -O "${#files[@]}" files < <(sources "$crate"); done
    "$bin/llvm-cov" "$what" --instr-profile "$folder/profile" "${objects[@]}" --sources "${files[@]}" 2>/dev/null
}
# Of the table that llvm-cov prints: name, and lines with those that were missed among them.
table() { awk '$8 ~ /^[0-9]+$/ && $1 != "TOTAL" { print $1, $8, $9 }'; }
percent() { awk '{ lines += $2; missed += $3 } END { printf "%.2f", lines ? 100 * (lines - missed) / lines : 0 }'; }

failed=0
for crate in "${CRATES[@]}"; do
    found=$(coverage report "$crate" | table)
    # llvm-cov leaves out what all names begin with.
    awk -v crate="$crate" '{ name = $1; sub(".*/src/", "", name)
        printf "%7.2f %%  %5d lines  %4d missed  %s\n", $2 ? 100 * ($2 - $3) / $2 : 100, $2, $3, crate "/src/" name }' <<<"$found"
    share=$(percent <<<"$found")
    printf '%7.2f %%  %s\n\n' "$share" "$crate"
    if awk "BEGIN { exit !($share < $BAR) }"; then failed=1 && echo "coverage: $crate is below $BAR %" >&2; fi
done
printf '%7.2f %%  together\n' "$(coverage report "${CRATES[@]}" | table | percent)"
if [ "${1:-}" = --lines ]; then
    coverage show "${CRATES[@]}" | sed "s|^$PWD/||" | grep -E '^[a-z_/]+\.rs:$|^ +[0-9]+\| +0\|'
fi
exit "$failed"
