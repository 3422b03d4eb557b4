#include "export/compressed_tensors/compressed_tensors.h"

#include "export/compressed_tensors/config_json.h"
#include "export/compressed_tensors/scheme_table.h"

namespace lathe::exporting {
namespace {

class CompressedTensors final : public Dialect {
 public:
  std::string_view name() const override { return "compressed-tensors"; }

  std::vector<std::optional<LayerStorage>> storages(std::span<const LayerScheme> layers,
                                                    DType model_dtype) const override {
    std::vector<std::optional<LayerStorage>> storages;
    for (const LayerScheme& layer : layers) {
      const CompressedScheme* row = find_compressed_scheme(layer);
      add_storage(storages, row == nullptr
                                ? std::nullopt
                                : std::optional(layer_storage(layer, *row, model_dtype)));
    }
    return storages;
  }

  std::string kv_algorithm(const KvScheme& scheme) const override {
    return same_storage(scheme.format, formats::kFp8) && !scheme.is_affine() ? "fp8" : "";
  }

  PlannedCache plan_cache(const KvScheme& scheme, DType model_dtype) const override {
    return {.scheme = scheme,
            .key = {scheme.path + ".k_scale", model_dtype, {1}},
            .value = {scheme.path + ".v_scale", model_dtype, {1}}};
  }

  QuantizationJson describe(const std::vector<PlannedLayer>& layers,
                            const QuantizationScheme& scheme,
                            const std::string& producer_version) const override {
    return describe_compressed_tensors(layers, scheme, producer_version);
  }
};

}  // namespace

const Dialect& compressed_tensors_dialect() {
  static const CompressedTensors dialect;
  return dialect;
}

}  // namespace lathe::exporting
