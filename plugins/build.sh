#!/bin/sh
# Builds the first-party plugins into components, named after their folders, in the folder given.
# Needs the wasm target of Rust and `cargo build -p tripline-sdk-component` in `sdk/`; for `github-audit` also
# componentize-py in PATH.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
component=$PWD/../sdk/target/debug/component

cargo build -q -j1 --release --target wasm32-unknown-unknown --workspace --exclude tripline-plugin-vectors
for manifest in */plugin.toml; do
  name=$(dirname "$manifest")
  [ -f "$name/Cargo.toml" ] || continue
  module=target/wasm32-unknown-unknown/release/tripline_$(echo "$name" | tr - _).wasm
  echo "== $name"
  "$component" build "$module" --manifest "$manifest" -o "$out/$name.wasm"
done

if command -v componentize-py > /dev/null; then
  echo "== github-audit"
  cd github-audit
  "$component" wit -o .tripline/wit
  componentize-py -q -d .tripline/wit -w plugin componentize -p . -p ../../sdk/python --stub-wasi -o "$out/github-audit.wasm" app
  "$component" build "$out/github-audit.wasm" -o "$out/github-audit.wasm"
else
  echo "== github-audit: skipped, componentize-py is not there"
fi
