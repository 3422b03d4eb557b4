#include "export/modelopt/modelopt.h"

#include "export/modelopt/algorithm_choice.h"
#include "export/modelopt/quantization_json.h"

namespace lathe::exporting {
namespace {

class Modelopt final : public Dialect {
 public:
  std::string_view name() const override { return "modelopt"; }

  std::vector<std::optional<LayerStorage>> storages(std::span<const LayerScheme> layers,
                                                    DType model_dtype) const override {
    const AlgorithmChoice choose(layers);
    std::vector<std::optional<LayerStorage>> storages;
    for (const LayerScheme& layer : layers) {
      const Algorithm* algorithm = choose(layer);
      add_storage(storages, algorithm == nullptr
                                ? std::nullopt
                                : std::optional(layer_storage(layer, *algorithm, model_dtype)));
    }
    return storages;
  }

  ExpertLayout expert_layout() const override { return ExpertLayout::kTransposed; }

  std::string kv_algorithm(const KvScheme& scheme) const override {
    return modelopt_kv_algorithm(scheme);
  }

  PlannedCache plan_cache(const KvScheme& scheme, DType model_dtype) const override {
    PlannedCache cache{.scheme = scheme,
                       .key = {scheme.key_path + ".k_scale", DType::kF32, {}},
                       .value = {scheme.value_path + ".v_scale", DType::kF32, {}}};
    if (scheme.is_affine()) {
      cache.key_bias = {scheme.key_path + ".k_bias", model_dtype, *scheme.key_bias};
      cache.value_bias = {scheme.value_path + ".v_bias", model_dtype, *scheme.value_bias};
    }
    return cache;
  }

  QuantizationJson describe(const std::vector<PlannedLayer>& layers,
                            const QuantizationScheme& scheme,
                            const std::string& producer_version) const override {
    return describe_quantization(layers, scheme, producer_version);
  }
};

}  // namespace

const Dialect& modelopt_dialect() {
  static const Modelopt dialect;
  return dialect;
}

}  // namespace lathe::exporting
