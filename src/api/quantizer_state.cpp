#include "api/quantizer_state.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "io/safetensors_writer.h"
#include "lathe/session.h"

namespace lathe::api {
namespace {

io::TensorToWrite to_write(std::string name, const std::vector<float>& values) {
  std::vector<int64_t> shape;
  if (values.size() != 1) shape.push_back(static_cast<int64_t>(values.size()));
  return {std::move(name), DType::kF32, std::move(shape), std::as_bytes(std::span(values))};
}

}  // namespace

std::string state_path(const std::string& program_path) {
  return std::filesystem::path(program_path).replace_extension(".state.safetensors").string();
}

void write_quantizer_state(const Quantization& quantization, const std::string& path) {
  std::vector<io::TensorToWrite> tensors;
  nlohmann::ordered_json formats = nlohmann::ordered_json::object();
  for (const quantization::TensorQuantizer* quantizer : quantization.conversion.quantizers()) {
    if (!quantizer->enabled()) continue;
    formats[quantizer->name()] = quantizer->describe();
    if (quantizer->has_amax())
      tensors.push_back(to_write(quantizer->name() + "._amax", quantizer->amax()));
    if (quantizer->has_scales())
      tensors.push_back(to_write(quantizer->name() + "._scale", quantizer->scales().values));
  }
  io::write_safetensors(path, tensors,
                        {{"format", "lathe-quantizers"},
                         {"config", quantization.config_name},
                         {"algorithm", quantization.algorithm},
                         {"producer", std::string("lathe ") + version()},
                         {"quantizers", formats.dump()}});
}

}  // namespace lathe::api
