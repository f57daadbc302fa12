# To be sourced. Exports where the compiled RocksDB library lies, and builds it there first if it is
# missing (some 15 minutes on two cores, once for each version of the bindings and of the compiler).
#
# The library is built by the very crate that the workspace uses, at the version of Cargo.lock, so that
# headers and library always match. ROCKSDB_LIB_DIR set by the caller is left alone.
rocksdb_library() {
    local root version compiler folder build
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || return 1
    version=$(grep -A1 '^name = "librocksdb-sys"$' "$root/Cargo.lock" | sed -n 's/^version = "\(.*\)"$/\1/p')
    compiler=$(c++ -dumpfullversion)-$(uname -m)
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/quorate/rocksdb-$version-gcc-$compiler
    if [ ! -f "$folder/librocksdb.a" ]; then
        echo "building RocksDB $version once; it is kept in $folder" >&2
        build=$(mktemp -d) || return 1
        mkdir -p "$build/src" "$folder" || return 1
        cat >"$build/Cargo.toml" <<EOF
[package]
name = "rocksdb-library"
version = "0.0.0"
edition = "2024"
[dependencies]
librocksdb-sys = { version = "=$version", default-features = false, features = ["lz4", "bindgen-runtime", "static"] }
[profile.release]
debug = false
EOF
        : >"$build/src/lib.rs"
        cp "$root/Cargo.lock" "$build/Cargo.lock"
        cargo build --release --manifest-path "$build/Cargo.toml" --target-dir "$build/target" >&2 || {
            rm -rf "$build"
            return 1
        }
        # Move into place whole: an interrupted copy must not be taken for the library.
        cp "$build"/target/release/build/librocksdb-sys-*/out/librocksdb.a "$folder/librocksdb.a.part" || return 1
        mv "$folder/librocksdb.a.part" "$folder/librocksdb.a" || return 1
        rm -rf "$build"
    fi
    export ROCKSDB_LIB_DIR=$folder ROCKSDB_STATIC=1
}
[ -n "${ROCKSDB_LIB_DIR:-}" ] || rocksdb_library
