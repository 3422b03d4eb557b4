#pragma once

#include <string>
#include <string_view>

#include "frontends/tensor_store.h"
#include "io/gguf_reader.h"

namespace lathe::frontends {

/// How the rows of q and k lie in the file.
struct GgufRows {
  /// Rotated pairs stand side by side (llama); Hugging Face has them half a head apart.
  bool interleaved = false;
  int64_t num_heads = 0;
  int64_t num_key_value_heads = 0;
};

/// The tensors under their Hugging Face names ("blk.3.attn_q.weight" is
/// "model.layers.3.self_attn.q_proj.weight"), dequantized when read. Tensors that no such model has
/// keep their names.
TensorStore open_gguf_store(const io::GgufFile& file, const GgufRows& rows, at::ScalarType dtype);

/// The Hugging Face name of a tensor; the name itself if there is none.
std::string huggingface_name(std::string_view gguf_name);

}  // namespace lathe::frontends
