#include "frontends/huggingface/source_quantization.h"

#include <array>

#include "base/error.h"
#include "frontends/huggingface/awq.h"
#include "frontends/huggingface/compressed_tensors.h"
#include "frontends/huggingface/fp8_source.h"
#include "frontends/huggingface/gptq.h"
#include "frontends/huggingface/modelopt.h"
#include "frontends/huggingface/mxfp4_experts.h"

namespace lathe::frontends {
namespace {

/// A quant_method, read from its section of config.json.
struct Method {
  std::string_view name;
  QuantizedSource (*read)(const ConfigReader& section, TensorStore& store, at::ScalarType dtype);
};

constexpr std::array kMethods = {
    Method{"compressed-tensors", &read_compressed_tensors},
    Method{"fp8", &read_fp8},
    Method{"gptq", &read_gptq},
    Method{"awq", &read_awq},
    Method{"mxfp4", &read_mxfp4},
};

std::string supported_methods() {
  std::string names = "supported: modelopt";
  for (const Method& method : kMethods) names += fmt::format(", {}", method.name);
  return names;
}

/// bitsandbytes says no quant_method in old checkpoints.
std::string method_of(const ConfigReader& section) {
  const bool bits_and_bytes =
      section.flag_or("load_in_4bit", false) || section.flag_or("load_in_8bit", false);
  return section.text_or("quant_method", bits_and_bytes ? "bitsandbytes" : "modelopt");
}

}  // namespace

std::optional<QuantizedSource> read_quantization(const std::filesystem::path& folder,
                                                 const ConfigReader& config, TensorStore& store,
                                                 at::ScalarType dtype) {
  const auto section = config.find_object("quantization_config");
  const std::string method = section ? method_of(*section) : "modelopt";
  if (method == "modelopt") return read_modelopt(folder, config, store, dtype);
  for (const Method& row : kMethods) {
    if (row.name == method) return row.read(*section, store, dtype);
  }
  if (method == "bitsandbytes") {
    throw_user(
        "{}: the weights are quantized with bitsandbytes, which is not read ({}): take the model "
        "that was quantized",
        config.source_name(), supported_methods());
  }
  section->unsupported("quant_method", supported_methods());
}

}  // namespace lathe::frontends
