#!/bin/sh
# Builds the binding of @tensorflow/tfjs-node 4.22.0 (or -gpu), unchanged, against the TensorFlow of an installed Python wheel,
# instead of the TensorFlow 2.9.1 that its own install script would download. See docs/tfjs.md for what to install before.
# In the folder that holds node_modules: sh tfjs-binding.sh
# TENSORFLOW: the folder of libtensorflow_cc.so.2 and include/; default the one that python3 would import.
set -eu
TENSORFLOW=${TENSORFLOW:-$(python3 -c "import importlib.util as u; print(u.find_spec('tensorflow').submodule_search_locations[0])")}
out=$(mktemp)
for package in tfjs-node tfjs-node-gpu; do
  at=node_modules/@tensorflow/$package
  [ -d "$at/binding" ] || continue
  g++ -O2 -fPIC -shared -std=c++17 -DNAPI_VERSION=8 \
    -Inode_modules/node-api-headers/include -I"$TENSORFLOW/include" -I"$at" \
    "$at/binding/tfjs_backend.cc" "$at/binding/tfjs_binding.cc" \
    -L"$TENSORFLOW" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -Wl,-rpath,"$TENSORFLOW" -o "$out"
  # The highest Node-API level that the package knows.
  mkdir -p "$at/lib/napi-v8"
  cp "$out" "$at/lib/napi-v8/tfjs_binding.node"
  echo "wrote $at/lib/napi-v8/tfjs_binding.node"
done
rm "$out"
