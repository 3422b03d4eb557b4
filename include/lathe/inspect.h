#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/dtype.h"

namespace lathe {

/// What a model file holds, from its headers alone.
struct Inspection {
  struct TensorRow {
    std::string name;
    std::string stored;          // "BF16", "Q4_1", "U8", ...
    std::vector<int64_t> shape;  // as stored
    int64_t bytes = 0;
    std::string format;  // of a packed weight: "nvfp4", ...; else ""
  };
  std::string kind;          // "Hugging Face directory", "GGUF file"
  std::string architecture;  // "" if unknown
  std::string quant_algo;    // "" if not quantized
  std::string kv_cache_algo;
  std::string dtype;
  int64_t parameters = 0;  // logical weights
  int64_t bytes = 0;
  double bits_per_weight = 0;
  std::vector<TensorRow> tensors;
};

Inspection inspect(const std::string& path);

}  // namespace lathe
