#include "frontends/huggingface/modelopt.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "frontends/huggingface/cache_scales.h"
#include "frontends/huggingface/packed_experts.h"
#include "frontends/huggingface/packed_weight.h"
#include "frontends/huggingface/quant_algos.h"
#include "frontends/huggingface/weights.h"
#include "frontends/problem_list.h"
#include "frontends/wildcard.h"
#include "io/json.h"

namespace lathe::frontends {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScaleSuffix = ".weight_scale";

constexpr const char* kMixed = "MIXED_PRECISION";

/// How one layer of a mixed checkpoint is quantized.
struct LayerAlgo {
  std::string quant_algo;
  std::optional<int64_t> group_size;
};

/// What the two JSON files say, brought together.
struct QuantizationConfig {
  std::string source_name;  // of the file that names the algorithm
  std::string producer;
  std::string quant_algo;
  std::string kv_cache_quant_algo;
  std::optional<int64_t> group_size;
  std::vector<std::string> exclude_modules;
  std::unordered_map<std::string, LayerAlgo> layers;  // of MIXED_PRECISION
  bool weight_only = false;                           // config_groups that say nothing of inputs
};

std::unordered_map<std::string, LayerAlgo> quantized_layers(const ConfigReader& section) {
  std::unordered_map<std::string, LayerAlgo> layers;
  const auto object = section.find_object("quantized_layers");
  if (!object) return layers;
  for (const auto& item : object->json().items()) {
    const auto layer = object->find_object(item.key());
    if (layer) layers[item.key()] = {layer->text("quant_algo"), layer->find_size("group_size")};
  }
  return layers;
}

std::string producer_text(const ConfigReader& reader) {
  const auto producer = reader.find_object("producer");
  if (!producer) return "";
  return fmt::format("{} {}", producer->text_or("name", "unknown"),
                     producer->text_or("version", "unknown"));
}

/// kv_cache_scheme is {"num_bits": 8, "type": "float"} for FP8, and a string for the others.
std::string cache_algo(const ConfigReader& section) {
  if (!section.has("kv_cache_scheme")) return "";
  if (section.json()["kv_cache_scheme"].is_string()) return section.text("kv_cache_scheme");
  const auto scheme = section.find_object("kv_cache_scheme");
  if (scheme->text_or("type", "float") == "float" && scheme->size_or("num_bits", 8) == 8) {
    return "FP8";
  }
  section.unsupported("kv_cache_scheme", "supported: 8-bit float");
}

/// Whether there is one group, and it describes weights alone.
bool is_weight_only(const ConfigReader& section) {
  const auto groups = section.find_object("config_groups");
  if (!groups || groups->json().size() != 1) return false;
  const auto group = groups->find_object(groups->json().begin().key());
  return group && group->has("weights") && !group->has("input_activations");
}

/// The part of config_groups that matters here.
std::optional<int64_t> group_size_of(const ConfigReader& section) {
  if (section.has("group_size")) return section.size("group_size");
  const auto groups = section.find_object("config_groups");
  if (!groups || groups->json().size() != 1) return std::nullopt;
  const auto group = groups->find_object(groups->json().begin().key());
  const auto weights = group ? group->find_object("weights") : std::nullopt;
  return weights ? weights->find_size("group_size") : std::nullopt;
}

/// hf_quant_config.json.
std::optional<QuantizationConfig> read_own_file(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  const nlohmann::ordered_json json = io::read_ordered_json(path, io::DuplicateKeys::kLastWins);
  const ConfigReader file(json, path.string());
  const auto section = file.find_object("quantization");
  if (!section) file.fail("quantization", "an object");
  return QuantizationConfig{
      .source_name = path.string(),
      .producer = producer_text(file),
      .quant_algo = section->text_or("quant_algo", ""),
      .kv_cache_quant_algo = section->text_or("kv_cache_quant_algo", ""),
      .group_size = section->find_size("group_size"),
      .exclude_modules =
          section->find_texts("exclude_modules").value_or(std::vector<std::string>()),
      .layers = quantized_layers(*section)};
}

/// quantization_config of config.json.
std::optional<QuantizationConfig> read_section(const ConfigReader& config) {
  const auto section = config.find_object("quantization_config");
  if (!section) return std::nullopt;
  return QuantizationConfig{
      .source_name = config.source_name(),
      .producer = producer_text(*section),
      .quant_algo = section->text_or("quant_algo", ""),
      .kv_cache_quant_algo = cache_algo(*section),
      .group_size = group_size_of(*section),
      .exclude_modules = section->find_texts("ignore").value_or(std::vector<std::string>()),
      .layers = quantized_layers(*section),
      .weight_only = is_weight_only(*section)};
}

/// hf_quant_config.json wins; what it leaves out is taken from config.json.
std::optional<QuantizationConfig> merge(std::optional<QuantizationConfig> file,
                                        const std::optional<QuantizationConfig>& section) {
  if (!file || !section) return file ? file : section;
  if (!section->quant_algo.empty() && section->quant_algo != file->quant_algo) {
    throw_data("{}: \"quant_algo\" is \"{}\", but {} says \"{}\"", file->source_name,
               file->quant_algo, section->source_name, section->quant_algo);
  }
  if (!file->group_size) file->group_size = section->group_size;
  if (file->layers.empty()) file->layers = section->layers;
  file->weight_only = section->weight_only;
  return file;
}

bool is_excluded(const QuantizationConfig& config, const std::string& path) {
  return std::any_of(config.exclude_modules.begin(), config.exclude_modules.end(),
                     [&](const std::string& pattern) { return matches_wildcard(pattern, path); });
}

/// Modules with a weight_scale, in the order of the store.
std::vector<std::string> modules_with_scales(const TensorStore& store) {
  std::vector<std::string> paths;
  for (const StoredTensor* tensor : store.tensors()) {
    if (!tensor->name.ends_with(kScaleSuffix)) continue;
    paths.push_back(tensor->name.substr(0, tensor->name.size() - std::string(kScaleSuffix).size()));
  }
  return paths;
}

/// Tensors that only quantization writes and nobody has taken.
void find_strays(const TensorStore& store, std::vector<std::string>& problems) {
  constexpr std::array<std::string_view, 4> kSuffixes = {".weight_scale_2", ".input_scale",
                                                         ".pre_quant_scale", ".weight_scale"};
  for (const StoredTensor* tensor : store.tensors()) {
    const std::string& name = tensor->name;
    const bool is_scale = std::any_of(kSuffixes.begin(), kSuffixes.end(),
                                      [&](std::string_view end) { return name.ends_with(end); });
    if (is_scale) {
      problems.push_back(fmt::format("{}: {} belongs to no quantized weight", tensor->file, name));
    } else if (name.ends_with(".weight") && !is_plain_float(tensor->dtype)) {
      problems.push_back(
          fmt::format("{}: {} is packed, but {}_scale is missing", tensor->file, name, name));
    }
  }
}

void throw_problems(const QuantizationConfig& config, const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  throw_data("{}: the tensors do not fit quant_algo \"{}\":{}", config.source_name,
             config.quant_algo, problem_list(problems));
}

const QuantAlgo& algo_called(const std::string& name, const QuantizationConfig& config) {
  const QuantAlgo* algo = find_quant_algo(name, config.weight_only);
  if (algo == nullptr) {
    throw_user("{}: \"quant_algo\" is \"{}\", which is not supported (supported: {}, {})",
               config.source_name, name, supported_quant_algos(), kMixed);
  }
  return *algo;
}

/// Decodes the linears one by one, each as the config says of it.
void decode_linears(const QuantizationConfig& config, TensorStore& store, at::ScalarType dtype,
                    QuantizedSource& source, std::vector<std::string>& problems) {
  const PackedExperts experts = split_packed_experts(store, problems);
  const bool mixed = config.quant_algo == kMixed;
  const LayerAlgo all{config.quant_algo, config.group_size};
  if (!mixed) algo_called(all.quant_algo, config);
  const std::vector<std::string> modules = modules_with_scales(store);
  source.linears.reserve(modules.size());
  for (const std::string& path : modules) {
    if (is_excluded(config, path)) {
      problems.push_back(fmt::format("{} is in exclude_modules, but has a weight_scale", path));
      continue;
    }
    const auto expert = experts.find(path);
    auto found = config.layers.find(path);
    if (found == config.layers.end() && expert != experts.end())
      found = config.layers.find(expert->second.module);
    if (mixed && found == config.layers.end()) {
      problems.push_back(
          fmt::format("{} has a weight_scale, but is not in quantized_layers", path));
      continue;
    }
    const LayerAlgo& layer = mixed ? found->second : all;
    auto linear = decode_linear(path, algo_called(layer.quant_algo, config), layer.group_size,
                                dtype, store, problems);
    if (!linear) continue;
    if (expert != experts.end()) linear->tensors = expert->second.tensors;
    source.linears.push_back(std::move(*linear));
  }
}

void check_cache_algo(const QuantizationConfig& config, const std::vector<QuantizedCache>& caches,
                      std::vector<std::string>& problems) {
  const std::string& algo = config.kv_cache_quant_algo;
  if (!algo.empty() && algo != "FP8" && algo != "NVFP4" && algo != "NVFP4_AFFINE") {
    throw_user(
        "{}: \"kv_cache_quant_algo\" is \"{}\", which is not supported (supported: FP8, "
        "NVFP4, NVFP4_AFFINE)",
        config.source_name, algo);
  }
  if (algo.empty() && !caches.empty()) {
    problems.push_back(
        fmt::format("{} has a scale of the KV cache, but there is no "
                    "kv_cache_quant_algo",
                    caches.front().path));
  }
}

}  // namespace

std::optional<QuantizedSource> read_modelopt(const fs::path& folder, const ConfigReader& config,
                                             TensorStore& store, at::ScalarType dtype) {
  const std::optional<QuantizationConfig> merged =
      merge(read_own_file(folder / "hf_quant_config.json"), read_section(config));
  if (!merged) return std::nullopt;
  QuantizedSource source{.method = "modelopt",
                         .producer = merged->producer,
                         .quant_algo = merged->quant_algo,
                         .kv_cache_quant_algo = merged->kv_cache_quant_algo,
                         .exclude_modules = merged->exclude_modules};
  std::vector<std::string> problems;
  source.caches = read_cache_scales(store, problems);
  check_cache_algo(*merged, source.caches, problems);
  decode_linears(*merged, store, dtype, source, problems);
  if (problems.empty()) find_strays(store, problems);
  throw_problems(*merged, problems);
  return source;
}

}  // namespace lathe::frontends
