#!/usr/bin/env bash
# Installs what building needs and this machine lacks. Does nothing when all is there.
#   setup.sh              C++ compiler and libclang, which RocksDB's bindings need
#   setup.sh cargo-deny   also the checker of dependencies
set -euo pipefail

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        echo "setup: '$*' needs root; run it as root, then run this again" >&2
        exit 1
    fi
}

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stdbool.h' >/dev/null
}

command -v cargo >/dev/null || {
    echo "setup: Rust is missing; install it with rustup (https://rustup.rs), then run this again" >&2
    exit 1
}

missing=()
command -v c++ >/dev/null || missing+=(g++)
has_libclang || missing+=(libclang-dev)
if [ "${#missing[@]}" -gt 0 ]; then
    command -v apt-get >/dev/null || {
        echo "setup: please install ${missing[*]} (a C++20 compiler and libclang 14 or newer with its headers)" >&2
        exit 1
    }
    echo "setup: installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ "${1:-}" = cargo-deny ] && ! command -v cargo-deny >/dev/null; then
    echo "setup: installing cargo-deny (some minutes, once)"
    cargo install --locked --quiet cargo-deny --version '^0.20'
fi
