#pragma once

#include <string>

#include "lathe/lathe.h"

namespace lathe {

/// The tiny llama of the golden data, whose output head shares the embedding's weight.
inline Model tiny_llama() { return Model::open(LATHE_GOLDEN_DIR "/modelopt/llama/base"); }

/// The ids that calibrated the golden presets: [samples, 64].
inline TokenBlocks tiny_tokens(const Model& model, int64_t samples) {
  return load_tokens(LATHE_GOLDEN_DIR "/modelopt/llama/calib.safetensors", model,
                     {.samples = samples});
}

inline Tensor ids_of(const TokenBlocks& data) {
  return Tensor::of(data.ids, {data.samples, data.seq_len});
}

}  // namespace lathe
