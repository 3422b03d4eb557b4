#pragma once

#include <filesystem>

#include "frontends/open.h"

namespace lathe::frontends {

/// Opens a .gguf file of a dense Llama, Mistral (both "llama" in GGUF), Qwen2 or Qwen3 model as the
/// Hugging Face checkpoint that it was made from: names, order of rows, config.json. Weights are
/// dequantized to bfloat16 (or options.dtype) when they are read. UserError: another architecture,
/// experts, a rope scaling that config.json cannot say, a file of a split model.
OpenedModel open_gguf(const std::filesystem::path& path, const OpenOptions& options);

}  // namespace lathe::frontends
