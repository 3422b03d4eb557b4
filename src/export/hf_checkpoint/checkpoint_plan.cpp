#include "export/hf_checkpoint/checkpoint_plan.h"

#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "export/hf_checkpoint/layer_plan.h"
#include "export/hf_checkpoint/problem_list.h"
#include "export/hf_checkpoint/tensor_plan.h"
#include "io/json.h"
#include "ir/scalar_types.h"

namespace lathe::exporting {
namespace {

/// Indentation of the JSON files, as the dialect's own writer has it.
constexpr int kIndent = 4;

PlannedFile json_file(std::string name, const nlohmann::ordered_json& json) {
  std::string text = io::dump_json(json, kIndent) + "\n";
  const uint64_t bytes = text.size();
  return {.name = std::move(name), .source = {}, .contents = std::move(text), .bytes = bytes};
}

template <typename Items>
auto& at(Items& items, const std::unordered_map<std::string, size_t>& index, std::string_view name,
         std::string_view kind) {
  const auto place = index.find(std::string(name));
  check_internal(place != index.end(), "{} \"{}\" is not in the plan", kind, name);
  return items[place->second];
}

std::vector<PlannedCache> plan_caches(const QuantizationScheme& scheme, const Dialect& dialect,
                                      const ir::Model& model) {
  std::vector<PlannedCache> caches;
  for (const KvScheme& kv : scheme.kv)
    caches.push_back(dialect.plan_cache(kv, ir::to_dtype(model.dtype)));
  return caches;
}

std::string dialect_names() {
  std::string names;
  for (const Dialect* dialect : dialects()) {
    if (!names.empty()) names += ", ";
    names += dialect->name();
  }
  return names;
}

/// What became of one tensor of the source, given how many make up each parameter.
class Bookkeeper {
 public:
  Bookkeeper(const ir::Model& model, const CheckpointPlan& plan) {
    for (const auto& [name, kept] : model.tied) tied_.emplace(name, kept);
    for (const PlannedLayer& layer : plan.layers()) {
      quantized_.emplace(layer.scheme.path + ".weight", layer.storage.name);
    }
    for (const io::PlannedTensor& tensor : plan.layout().tensors) written_.insert(tensor.name);
    for (const ir::SourceTensor& tensor : model.tensors) ++sources_[tensor.path];
  }

  BookEntry entry(const ir::SourceTensor& tensor) const {
    const auto [fate, detail] = fate_of(tensor);
    return {tensor.name, fate, detail, tensor.parameter ? tensor.parameter->bytes() : 0};
  }

 private:
  std::pair<Fate, std::string> fate_of(const ir::SourceTensor& tensor) const {
    if (tensor.path.empty()) {
      check_internal(!tensor.dropped.empty(), "tensor \"{}\" is dropped without a reason",
                     tensor.name);
      return {Fate::kDropped, tensor.dropped};
    }
    if (const auto tie = tied_.find(tensor.path); tie != tied_.end()) {
      return {Fate::kMerged, "tied to " + tie->second};
    }
    if (const auto layer = quantized_.find(tensor.path); layer != quantized_.end()) {
      return {Fate::kQuantized, std::string(layer->second)};
    }
    check_internal(written_.contains(tensor.path), "tensor \"{}\" is lost: \"{}\" is not written",
                   tensor.name, tensor.path);
    if (sources_.at(tensor.path) > 1) return {Fate::kMerged, "part of " + tensor.path};
    return {Fate::kCopied, tensor.path == tensor.name ? std::string() : "as " + tensor.path};
  }

  std::unordered_map<std::string, std::string> tied_;
  std::unordered_map<std::string, std::string_view> quantized_;
  std::unordered_set<std::string> written_;
  std::unordered_map<std::string, size_t> sources_;
};

}  // namespace

std::vector<std::string> CheckpointPlan::problems(const ir::Model& model,
                                                  const QuantizationScheme& scheme,
                                                  const ExportOptions& options) {
  std::vector<std::string> found;
  const Dialect* dialect = find_dialect(options.dialect);
  if (dialect == nullptr) {
    found.push_back(fmt::format("dialect \"{}\": there is no such dialect; {} are known",
                                options.dialect, dialect_names()));
  }
  if (options.max_shard_bytes == 0) {
    found.emplace_back("the maximum shard size must be at least 1 byte");
  }
  const std::optional<Target> target = target_from_name(options.target);
  if (!target) {
    found.push_back(fmt::format("target \"{}\": vllm, sglang, trtllm and transformers are known",
                                options.target));
  }
  if (dialect != nullptr) {
    const std::vector<PlannedLayer> layers = plan_layers(model, scheme, *dialect, found);
    check_kv(scheme, *dialect, found);
    const auto refused =
        target_problems(layers, plan_caches(scheme, *dialect, model), scheme.unquantized, *dialect,
                        ir::to_dtype(model.dtype), target.value_or(Target::kAny));
    found.insert(found.end(), refused.begin(), refused.end());
  }
  plan_auxiliary_files(model, found);
  return found;
}

CheckpointPlan CheckpointPlan::make(const ir::Model& model, const QuantizationScheme& scheme,
                                    const ExportOptions& options) {
  throw_if_any("the checkpoint cannot be written", problems(model, scheme, options));
  std::vector<std::string> none;
  CheckpointPlan plan;
  plan.source_ = model.source;
  plan.dialect_ = find_dialect(options.dialect);
  plan.layers_ = plan_layers(model, scheme, *plan.dialect_, none);
  plan.caches_ = plan_caches(scheme, *plan.dialect_, model);
  plan.target_ = *target_from_name(options.target);
  plan.files_ = plan_auxiliary_files(model, none);
  plan.plan_json(model, scheme, options);
  plan.plan_tensors(model, options);
  plan.build_index();
  plan.keep_books(model);
  return plan;
}

void CheckpointPlan::plan_json(const ir::Model& model, const QuantizationScheme& scheme,
                               const ExportOptions& options) {
  const bool quantized = !scheme.layers.empty() || !scheme.kv.empty();
  config_ = model.config;
  if (config_.is_object()) config_.erase("quantization_config");
  if (quantized) {
    json_ = dialect_->describe(layers_, scheme, options.producer_version);
    if (config_.is_object()) config_["quantization_config"] = json_.quantization_config;
    if (!json_.hf_quant_config.is_null())
      files_.push_back(json_file("hf_quant_config.json", json_.hf_quant_config));
  }
  if (config_.is_object()) files_.push_back(json_file("config.json", config_));
}

void CheckpointPlan::plan_tensors(const ir::Model& model, const ExportOptions& options) {
  std::vector<io::TensorSpec> specs;
  for (UnitTensors& unit : plan_unit_tensors(model, layers_, caches_)) {
    ExportUnit& added = units_.emplace_back(ExportUnit{std::move(unit.unit), {}});
    for (io::TensorSpec& tensor : unit.tensors) {
      added.tensors.push_back(tensor.name);
      specs.push_back(std::move(tensor));
    }
  }
  layout_ = io::plan_checkpoint(std::move(specs), options.max_shard_bytes);
  layout_.fingerprint = fmt::format("{}\n{}\n{}\n", source_, options.dialect, options.fingerprint);
  for (const PlannedFile& file : files_) {
    if (file.source.empty()) layout_.fingerprint += file.contents;
  }

  required_bytes_ = layout_.index_json().size();
  for (const io::PlannedShard& shard : layout_.shards) required_bytes_ += shard.file_bytes;
  for (const PlannedFile& file : files_) required_bytes_ += file.bytes;
}

void CheckpointPlan::build_index() {
  for (size_t i = 0; i < layers_.size(); ++i) layer_index_.emplace(layers_[i].scheme.path, i);
  for (size_t i = 0; i < caches_.size(); ++i) cache_index_.emplace(caches_[i].scheme.key_path, i);
  for (size_t i = 0; i < units_.size(); ++i) unit_index_.emplace(units_[i].name, i);
  for (size_t i = 0; i < layout_.tensors.size(); ++i) {
    tensor_index_.emplace(layout_.tensors[i].name, i);
  }
}

void CheckpointPlan::keep_books(const ir::Model& model) {
  const Bookkeeper keeper(model, *this);
  for (const ir::SourceTensor& tensor : model.tensors)
    books_.entries.push_back(keeper.entry(tensor));
  books_.output_bytes = layout_.total_bytes;
}

const ExportUnit& CheckpointPlan::unit(std::string_view name) const {
  return at(units_, unit_index_, name, "unit");
}

const PlannedLayer& CheckpointPlan::layer(std::string_view path) const {
  return at(layers_, layer_index_, path, "layer");
}

const PlannedCache& CheckpointPlan::cache(std::string_view key_path) const {
  return at(caches_, cache_index_, key_path, "KV cache of");
}

const io::PlannedTensor& CheckpointPlan::tensor(std::string_view name) const {
  return at(layout_.tensors, tensor_index_, name, "tensor");
}

}  // namespace lathe::exporting
