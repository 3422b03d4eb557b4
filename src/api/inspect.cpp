#include "lathe/inspect.h"

#include <filesystem>
#include <unordered_map>

#include "formats/format.h"
#include "frontends/open.h"
#include "io/gguf_reader.h"
#include "io/safetensors_reader.h"
#include "ir/scalar_types.h"

namespace lathe {
namespace {

int64_t numel_of(const std::vector<int64_t>& shape) {
  int64_t numel = 1;
  for (int64_t size : shape) numel *= size;
  return numel;
}

void add_gguf_rows(const std::string& path, Inspection& result) {
  const io::GgufFile file = io::GgufFile::open(path);
  for (const io::GgufTensorInfo& tensor : file.tensors()) {
    result.parameters += numel_of(tensor.shape);
    result.tensors.push_back({tensor.name,
                              std::string(io::ggml_type_name(static_cast<uint32_t>(tensor.type))),
                              tensor.shape, static_cast<int64_t>(tensor.bytes), ""});
  }
}

/// A tensor of a quantized weight: its codes, or what belongs to them and is no weight.
struct PackedTensor {
  std::string format;
  int64_t parameters = 0;
};

using PackedTensors = std::unordered_map<std::string, PackedTensor>;  // by name

PackedTensors packed_tensors(frontends::OpenedModel opened) {
  PackedTensors packed;
  if (!opened.quantization) return packed;
  std::vector<int64_t> parameters;
  for (const frontends::QuantizedLinear& linear : opened.quantization->linears) {
    const ir::ParameterPtr weight = opened.model.root->find_parameter(linear.path + ".weight");
    parameters.push_back(weight ? weight->numel() : 0);
  }
  opened.model = {};  // hundreds of thousands of tensors are large
  for (size_t i = 0; i < parameters.size(); ++i) {
    frontends::QuantizedLinear& linear = opened.quantization->linears[i];
    const std::string codes_name = linear.tensors.front();
    for (std::string& name : linear.tensors) packed.try_emplace(std::move(name));
    PackedTensor& codes = packed[codes_name];
    codes.format = formats::format_name(linear.weight_format);
    codes.parameters += parameters[i];
  }
  return packed;
}

void add_safetensors_rows(const std::string& path, const PackedTensors& packed,
                          Inspection& result) {
  const io::SafetensorsCheckpoint checkpoint = io::SafetensorsCheckpoint::open(path);
  result.tensors.reserve(checkpoint.tensors().size());
  for (const io::TensorEntry& tensor : checkpoint.tensors()) {
    const auto found = packed.find(tensor.name);
    const bool plain = found == packed.end();
    result.tensors.push_back({tensor.name, std::string(dtype_name(tensor.dtype)), tensor.shape,
                              static_cast<int64_t>(tensor.bytes),
                              plain ? "" : found->second.format});
    result.parameters += plain ? numel_of(tensor.shape) : found->second.parameters;
  }
}

void add_program_rows(const frontends::OpenedModel& opened, Inspection& result) {
  for (const ir::SourceTensor& tensor : opened.model.tensors) {
    const ir::Parameter& parameter = *tensor.parameter;
    result.parameters += parameter.numel();
    result.tensors.push_back({tensor.name, std::string(dtype_name(ir::to_dtype(parameter.dtype()))),
                              parameter.shape(), parameter.bytes(), ""});
  }
}

void describe(const frontends::OpenedModel& opened, Inspection& result) {
  result.architecture = opened.model.architecture;
  result.dtype = dtype_torch_name(ir::to_dtype(opened.model.dtype));
  if (!opened.quantization) return;
  result.quant_algo = opened.quantization->quant_algo;
  result.kv_cache_algo = opened.quantization->kv_cache_quant_algo;
}

/// What only the opened model knows; gives the tensors that are parts of quantized weights. The
/// model is gone when the headers are read again.
PackedTensors inspect_model(const std::string& path, bool program, Inspection& result) {
  frontends::OpenedModel opened = frontends::open_model(path);
  describe(opened, result);
  if (program) add_program_rows(opened, result);
  return packed_tensors(std::move(opened));
}

}  // namespace

Inspection inspect(const std::string& path) {
  Inspection result;
  const std::filesystem::path extension = std::filesystem::path(path).extension();
  const bool gguf = extension == ".gguf";
  const bool program = extension == ".pt2";
  result.kind = gguf ? "GGUF file" : program ? "torch.export archive" : "Hugging Face directory";
  const PackedTensors packed = inspect_model(path, program, result);
  if (gguf) {
    add_gguf_rows(path, result);
  } else if (!program) {
    add_safetensors_rows(path, packed, result);
  }
  for (const Inspection::TensorRow& row : result.tensors) result.bytes += row.bytes;
  if (result.parameters > 0) {
    result.bits_per_weight =
        8.0 * static_cast<double>(result.bytes) / static_cast<double>(result.parameters);
  }
  return result;
}

}  // namespace lathe
