#pragma once

#include <c10/core/ScalarType.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "io/gguf_reader.h"

namespace lathe::frontends {

/// A value of general.architecture that Lathe reads, and what it is called in config.json.
struct GgufArchitecture {
  std::string_view name;          // "llama"
  std::string_view class_name;    // "LlamaForCausalLM"
  bool interleaved_rows = false;  // of q and k, see GgufRows
};

/// UserError that names the architecture if it is not read.
const GgufArchitecture& gguf_architecture(const io::GgufFile& file);

/// The config.json that transformers would have written for the model, from the metadata of the
/// file. UserError for what it cannot say (see open_gguf); DataError for metadata that is missing
/// or of another type.
nlohmann::ordered_json gguf_config(const io::GgufFile& file, const GgufArchitecture& architecture,
                                   at::ScalarType dtype);

/// generation_config.json: the special token ids.
nlohmann::ordered_json gguf_generation_config(const io::GgufFile& file);

}  // namespace lathe::frontends
