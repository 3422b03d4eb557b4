#!/usr/bin/env bash
# Makes the seed corpora in corpus/ from the golden files of the unit tests and a few texts.
set -euo pipefail
cd "$(dirname "$0")"
golden=../unit/io/golden

seed() {  # seed NAME FILE...: copies small files
  mkdir -p "corpus/$1"
  cp "${@:2}" "corpus/$1/"
}
text() {  # text NAME FILE CONTENT
  mkdir -p "corpus/$1"
  printf '%s' "$3" > "corpus/$1/$2"
}

seed safetensors $golden/wheel.safetensors $golden/dtypes.safetensors
seed gguf $golden/wheel.gguf
seed npy $golden/f32.npy $golden/scalar.npy $golden/fortran.npy $golden/stored.npz $golden/deflated.npz
seed zip $golden/stored.npz $golden/deflated.npz
text json config '{"a":[1,-2.5e3,true,null,NaN,"x\u00fc\n"],"o":{"k":{},"limit":[0.0,-Infinity]}}'
text json index '{"metadata":{"total_size":3},"weight_map":{"a":"model-00001-of-00002.safetensors"}}'
text yaml recipe $'# recipe\nformat: nvfp4\nlayers:\n  - {pattern: "*.lm_head", enable: false}\n  - clip: 1e-3\n'
text yaml anchors $'a: &x [1, !!str 2]\nb: *x\n? c\n: |\n  text\n'
