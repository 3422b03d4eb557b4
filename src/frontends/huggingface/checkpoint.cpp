#include "frontends/huggingface/checkpoint.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "frontends/generic_tree.h"
#include "frontends/huggingface/architectures.h"
#include "frontends/huggingface/auxiliary_files.h"
#include "frontends/huggingface/config.h"
#include "frontends/huggingface/source_quantization.h"
#include "frontends/huggingface/weights.h"
#include "frontends/mapped_tensor.h"
#include "frontends/tensor_store.h"
#include "io/json.h"
#include "io/safetensors_reader.h"
#include "ir/scalar_types.h"
#include "lathe/dtype.h"

namespace lathe::frontends {
namespace {

namespace fs = std::filesystem;

struct Slice {
  std::shared_ptr<const MappedFile> file;
  size_t offset;
  at::ScalarType dtype;
  std::vector<int64_t> shape;

  at::Tensor map() const { return map_tensor(file, offset, dtype, shape); }
};

StoredTensor stored_tensor(const io::TensorEntry& entry, size_t source) {
  const at::ScalarType dtype = ir::to_scalar_type(entry.dtype);
  // Shared by the functions and their copies, of which there are many.
  const auto slice =
      std::make_shared<const Slice>(Slice{entry.file, entry.offset, dtype, entry.shape});
  return {.name = entry.name,
          .dtype = dtype,
          .shape = entry.shape,
          .file = entry.file->path().filename().string(),
          .read = [slice](at::ScalarType wanted) { return slice->map().to(wanted); },
          .sources = {source},
          .stored = std::make_shared<ir::Parameter>(dtype, entry.shape,
                                                    [slice] { return slice->map(); })};
}

TensorStore open_store(const fs::path& folder) {
  const io::SafetensorsCheckpoint checkpoint = io::SafetensorsCheckpoint::open(folder);
  TensorStore store;
  for (const io::TensorEntry& entry : checkpoint.tensors()) {
    StoredTensor tensor = stored_tensor(entry, store.sources().size());
    store.add_source(entry.name, tensor.stored);
    store.add(std::move(tensor));
  }
  return store;
}

nlohmann::ordered_json read_config(const fs::path& path) {
  if (!fs::exists(path)) return nlohmann::ordered_json::object();
  return io::read_ordered_json(path, io::DuplicateKeys::kLastWins);
}

/// "dtype" (transformers 5) or "torch_dtype", with or without "torch.".
std::optional<at::ScalarType> config_dtype(const ConfigReader& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!config.has(key)) continue;
    std::string name = config.text(key);
    if (name == "auto") return std::nullopt;
    if (name.starts_with("torch.")) name = name.substr(6);
    const auto dtype = dtype_from_torch_name(name);
    if (!dtype || !is_plain_float(ir::to_scalar_type(*dtype))) {
      config.fail(key, "a floating-point dtype");
    }
    return ir::to_scalar_type(*dtype);
  }
  return std::nullopt;
}

/// GPT-2 and its kin, whose linear layers keep the weight as [K, N].
bool has_conv1d_weights(const ConfigReader& config) {
  constexpr std::array<std::string_view, 4> kTypes = {"gpt2", "openai-gpt", "imagegpt",
                                                      "decision_transformer"};
  const std::string type = config.text_or("model_type", "");
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

/// A quantized checkpoint has the weights of such layers as [N, K]; the model has [K, N].
void restore_conv1d(const QuantizedSource& source, TensorStore& store) {
  for (const QuantizedLinear& linear : source.linears) {
    const std::string name = ir::join_path(linear.path, "weight");
    const StoredTensor* weight = store.find(name);
    if (weight == nullptr || !is_conv1d_name(linear.path)) continue;
    StoredTensor turned = *weight;
    std::swap(turned.shape.at(0), turned.shape.at(1));
    turned.read = [read = weight->read](at::ScalarType dtype) {
      return read(dtype).t().contiguous();
    };
    store.replace({name}, std::move(turned));
  }
}

void build_known(const Architecture& architecture, const ConfigReader& config, TensorStore& store,
                 ir::Model& model) {
  model.architecture = architecture.name;
  Weights weights(store, model.dtype, model.source);
  architecture.build(config, weights, model);
  weights.finish();
}

void build_unknown(const ConfigReader& config, const OpenOptions& options, TensorStore& store,
                   ir::Model& model) {
  model.root = build_generic_tree(store, {.source_name = model.source,
                                          .dtype = options.dtype,
                                          .conv1d_weights = has_conv1d_weights(config)});
  model.vocab_size = config.size_or("vocab_size", 0);
}

}  // namespace

OpenedModel open_huggingface(const fs::path& folder, const OpenOptions& options) {
  OpenedModel opened;
  ir::Model& model = opened.model;
  model.source = folder.string();
  const fs::path config_path = folder / "config.json";
  const nlohmann::ordered_json json = read_config(config_path);
  const ConfigReader config(json, config_path.string());
  model.config = json;
  model.config.erase("quantization_config");
  TensorStore store = open_store(folder);
  model.dtype = options.dtype.value_or(config_dtype(config).value_or(dominant_dtype(store)));
  opened.quantization = read_quantization(folder, config, store, model.dtype);
  if (opened.quantization && has_conv1d_weights(config)) {
    restore_conv1d(*opened.quantization, store);
  }
  if (const Architecture* architecture = find_architecture(config)) {
    build_known(*architecture, config, store, model);
  } else {
    build_unknown(config, options, store, model);
  }
  model.fused = store.take_fused();
  model.tensors = store.take_sources();
  model.files = find_auxiliary_files(folder);
  return opened;
}

}  // namespace lathe::frontends
