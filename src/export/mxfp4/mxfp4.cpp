#include "export/mxfp4/mxfp4.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"

namespace lathe::exporting {
namespace {

using nlohmann::ordered_json;

/// "model.layers.*.self_attn" of "model.layers.3.self_attn.q_proj": up to the first module below
/// which nothing is quantized, for all layers alike.
std::string unquantized_pattern(const std::string& path, const std::set<std::string>& quantized) {
  const auto holds_quantized = [&](const std::string& prefix) {
    const auto next = quantized.lower_bound(prefix + ".");
    return next != quantized.end() && next->starts_with(prefix + ".");
  };
  size_t end = path.find('.');
  while (end != path.npos && holds_quantized(path.substr(0, end))) end = path.find('.', end + 1);
  std::string pattern;
  size_t begin = 0;
  const std::string module = path.substr(0, end);
  while (begin <= module.size()) {
    const size_t dot = std::min(module.find('.', begin), module.size());
    const std::string part = module.substr(begin, dot - begin);
    const bool number =
        !part.empty() && std::ranges::all_of(part, [](unsigned char c) { return std::isdigit(c); });
    pattern += (pattern.empty() ? "" : ".") + (number ? "*" : part);
    begin = dot + 1;
  }
  return pattern;
}

class Mxfp4 final : public Dialect {
 public:
  std::string_view name() const override { return "mxfp4"; }

  std::vector<std::optional<LayerStorage>> storages(std::span<const LayerScheme> layers,
                                                    DType) const override {
    std::vector<std::optional<LayerStorage>> storages;
    for (const LayerScheme& layer : layers) {
      const bool fits = same_storage(layer.weight, formats::kMxfp4) && !layer.input.has_value() &&
                        !layer.pre_quant_scale;
      add_storage(storages, fits ? std::optional(storage()) : std::nullopt);
    }
    return storages;
  }

  ExpertLayout expert_layout() const override { return ExpertLayout::kBlocks; }

  std::string kv_algorithm(const KvScheme&) const override { return ""; }

  PlannedCache plan_cache(const KvScheme& scheme, DType) const override {
    return {.scheme = scheme, .key = {}, .value = {}};
  }

  QuantizationJson describe(const std::vector<PlannedLayer>& layers,
                            const QuantizationScheme& scheme,
                            const std::string& producer_version) const override {
    std::set<std::string> quantized;
    for (const PlannedLayer& layer : layers) quantized.insert(layer.scheme.path);
    std::set<std::string> patterns;
    for (const std::string& path : scheme.unquantized)
      patterns.insert(unquantized_pattern(path, quantized));
    ordered_json config = {{"quant_method", "mxfp4"},
                           {"modules_to_not_convert", patterns},
                           {"written_by", "lathe " + producer_version}};
    return {.quantization_config = std::move(config),
            .hf_quant_config = nullptr,
            .algorithm = "mxfp4",
            .kv_algorithm = {}};
  }

 private:
  static LayerStorage storage() {
    LayerStorage storage{.name = "mxfp4", .packing = formats::Packing::kNibbles, .parts = {}};
    storage.parts.push_back({LayerPart::kWeight, "blocks", DType::kU8, PartShape::kPacked});
    storage.parts.push_back({LayerPart::kWeightScale, "scales", DType::kU8, PartShape::kGrid});
    return storage;
  }
};

}  // namespace

const Dialect& mxfp4_dialect() {
  static const Mxfp4 dialect;
  return dialect;
}

}  // namespace lathe::exporting
