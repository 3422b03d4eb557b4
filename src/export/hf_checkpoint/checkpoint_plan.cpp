#include "export/hf_checkpoint/checkpoint_plan.h"

#include <algorithm>
#include <iterator>
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
auto& at(Items& items, const std::unordered_map<std::string_view, size_t>& index,
         std::string_view name, std::string_view kind) {
  const auto place = index.find(name);
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
  using Index = std::unordered_map<std::string_view, size_t>;

  Bookkeeper(const ir::Model& model, const Index& by_path, const std::vector<FusedTensor>& fused,
             const io::CheckpointLayout& layout)
      : by_path_(by_path), layout_(layout) {
    for (const auto& [name, kept] : model.tied) tied_.insert(name);
    for (const FusedTensor& tensor : fused)
      fused_.insert(tensor.parameters.begin(), tensor.parameters.end());
    sources_.reserve(model.tensors.size());
    for (const ir::SourceTensor& tensor : model.tensors) ++sources_[tensor.path];
  }

  Fate fate_of(const ir::SourceTensor& tensor) const {
    if (tensor.path.empty()) {
      check_internal(!tensor.dropped.empty(), "tensor \"{}\" is dropped without a reason",
                     tensor.name);
      return Fate::kDropped;
    }
    if (tied_.contains(tensor.path)) return Fate::kMerged;
    if (by_path_.contains(layer_of_weight(tensor.path))) return Fate::kQuantized;
    check_internal(layout_.find(tensor.path) != nullptr || fused_.contains(tensor.path),
                   "tensor \"{}\" is lost: \"{}\" is not written", tensor.name, tensor.path);
    return sources_.at(tensor.path) > 1 ? Fate::kMerged : Fate::kCopied;
  }

 private:
  const Index& by_path_;
  const io::CheckpointLayout& layout_;
  std::unordered_set<std::string_view> tied_;
  std::unordered_set<std::string_view> fused_;  // parameters that are a part of a tensor
  Index sources_;
};

/// What is found out on the way to a plan's problems.
struct Draft {
  const Dialect* dialect = nullptr;
  std::optional<Target> target;
  std::vector<PlannedLayer> layers;
  std::vector<PlannedCache> caches;
  std::vector<PlannedFile> files;
};

/// The scheme loses its layers.
Draft draft_plan(const ir::Model& model, QuantizationScheme& scheme, const ExportOptions& options,
                 std::vector<std::string>& problems) {
  Draft draft{.dialect = find_dialect(options.dialect), .target = target_from_name(options.target)};
  if (draft.dialect == nullptr) {
    problems.push_back(fmt::format("dialect \"{}\": there is no such dialect; {} are known",
                                   options.dialect, dialect_names()));
  }
  if (options.max_shard_bytes == 0) {
    problems.emplace_back("the maximum shard size must be at least 1 byte");
  }
  if (!draft.target) {
    problems.push_back(fmt::format("target \"{}\": vllm, sglang, trtllm and transformers are known",
                                   options.target));
  }
  if (draft.dialect != nullptr) {
    draft.layers = plan_layers(model, scheme, *draft.dialect, problems);
    check_kv(scheme, *draft.dialect, problems);
    draft.caches = plan_caches(scheme, *draft.dialect, model);
    const auto refused =
        target_problems(draft.layers, draft.caches, scheme.unquantized, *draft.dialect,
                        ir::to_dtype(model.dtype), draft.target.value_or(Target::kAny));
    problems.insert(problems.end(), refused.begin(), refused.end());
  }
  draft.files = plan_auxiliary_files(model, problems);
  return draft;
}

}  // namespace

std::vector<std::string> CheckpointPlan::problems(const ir::Model& model,
                                                  const QuantizationScheme& scheme,
                                                  const ExportOptions& options) {
  std::vector<std::string> found;
  QuantizationScheme copy = scheme;
  draft_plan(model, copy, options, found);
  return found;
}

CheckpointPlan CheckpointPlan::make(const ir::Model& model, const QuantizationScheme& scheme,
                                    const ExportOptions& options) {
  std::vector<std::string> problems;
  std::optional<CheckpointPlan> plan = make_unless(problems, model, scheme, options);
  throw_if_any("the checkpoint cannot be written", problems);
  return std::move(*plan);
}

std::optional<CheckpointPlan> CheckpointPlan::make_unless(std::vector<std::string>& problems,
                                                          const ir::Model& model,
                                                          QuantizationScheme scheme,
                                                          const ExportOptions& options) {
  std::vector<std::string> found;
  Draft draft = draft_plan(model, scheme, options, found);
  if (!found.empty()) {
    problems.insert(problems.end(), found.begin(), found.end());
    return std::nullopt;
  }
  auto contents = std::make_shared<Contents>();
  contents->source = model.source;
  contents->dialect = draft.dialect;
  contents->target = *draft.target;
  contents->layers = std::move(draft.layers);
  contents->caches = std::move(draft.caches);
  contents->fused = plan_fused_tensors(model, contents->layers);
  contents->files = std::move(draft.files);
  contents->plan_json(model, scheme, options);
  contents->plan_tensors(model, options);
  contents->build_index();
  contents->keep_books(model);
  return CheckpointPlan(std::move(contents));
}

void CheckpointPlan::Contents::plan_json(const ir::Model& model, const QuantizationScheme& scheme,
                                         const ExportOptions& options) {
  const bool quantized = !layers.empty() || !scheme.kv.empty();
  config = model.config;
  if (config.is_object()) config.erase("quantization_config");
  if (quantized) {
    json = dialect->describe(layers, scheme, options.producer_version);
    if (config.is_object()) config["quantization_config"] = json.quantization_config;
    if (!json.hf_quant_config.is_null())
      files.push_back(json_file("hf_quant_config.json", json.hf_quant_config));
  }
  if (config.is_object()) files.push_back(json_file("config.json", config));
}

void CheckpointPlan::Contents::plan_tensors(const ir::Model& model, const ExportOptions& options) {
  std::vector<io::TensorSpec> specs;
  std::vector<size_t> ends;  // of each unit in the specs
  std::vector<UnitTensors> planned = plan_unit_tensors(model, layers, fused, caches);
  size_t count = 0;
  for (const UnitTensors& unit : planned) count += unit.tensors.size();
  specs.reserve(count);
  for (UnitTensors& unit : planned) {
    units.push_back({.name = std::move(unit.unit)});
    std::move(unit.tensors.begin(), unit.tensors.end(), std::back_inserter(specs));
    unit.tensors = std::vector<io::TensorSpec>();
    ends.push_back(specs.size());
  }
  layout = io::plan_checkpoint(std::move(specs), options.max_shard_bytes);
  size_t begin = 0;
  for (size_t i = 0; i < units.size(); begin = ends[i++])
    units[i].tensors = std::span(layout.tensors).subspan(begin, ends[i] - begin);
  layout.fingerprint = fmt::format("{}\n{}\n{}\n", source, options.dialect, options.fingerprint);
  for (const PlannedFile& file : files) {
    if (file.source.empty()) layout.fingerprint += file.contents;
  }

  required_bytes = layout.index_json().size();
  for (const io::PlannedShard& shard : layout.shards) required_bytes += shard.file_bytes;
  for (const PlannedFile& file : files) required_bytes += file.bytes;
}

void CheckpointPlan::Contents::build_index() {
  for (size_t i = 0; i < layers.size(); ++i) layer_index.emplace(layers[i].scheme.path, i);
  for (size_t i = 0; i < caches.size(); ++i) cache_index.emplace(caches[i].scheme.key_path, i);
  for (size_t i = 0; i < units.size(); ++i) unit_index.emplace(units[i].name, i);
}

void CheckpointPlan::Contents::keep_books(const ir::Model& model) {
  const Bookkeeper keeper(model, layer_index, fused, layout);
  for (const ir::SourceTensor& tensor : model.tensors)
    books.add(keeper.fate_of(tensor), tensor.parameter ? tensor.parameter->bytes() : 0);
  books.output_bytes = layout.total_bytes;
}

const ExportUnit& CheckpointPlan::unit(std::string_view name) const {
  return at(contents_->units, contents_->unit_index, name, "unit");
}

const PlannedLayer& CheckpointPlan::layer(std::string_view path) const {
  return at(contents_->layers, contents_->layer_index, path, "layer");
}

const PlannedCache& CheckpointPlan::cache(std::string_view key_path) const {
  return at(contents_->caches, contents_->cache_index, key_path, "KV cache of");
}

const io::PlannedTensor& CheckpointPlan::tensor(std::string_view name) const {
  const io::PlannedTensor* found = layout().find(name);
  check_internal(found != nullptr, "tensor \"{}\" is not in the plan", name);
  return *found;
}

const FusedTensor* CheckpointPlan::find_fused(std::string_view name) const {
  const auto found = std::ranges::find(
      fused(), name, [](const FusedTensor& fused) { return std::string_view(fused.tensor.name); });
  return found == fused().end() ? nullptr : &*found;
}

}  // namespace lathe::exporting
