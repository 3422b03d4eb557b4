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
      storages.push_back(algorithm == nullptr
                             ? std::nullopt
                             : std::optional(layer_storage(layer, *algorithm, model_dtype)));
    }
    return storages;
  }

  std::string kv_algorithm(const formats::Format& format) const override {
    return modelopt_kv_algorithm(format);
  }

  PlannedCache plan_cache(const KvScheme& scheme, DType) const override {
    return {.scheme = scheme,
            .key = {scheme.key_path + ".k_scale", DType::kF32, {}},
            .value = {scheme.value_path + ".v_scale", DType::kF32, {}}};
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
