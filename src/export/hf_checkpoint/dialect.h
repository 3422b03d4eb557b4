#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "export/hf_checkpoint/planned_layer.h"
#include "export/hf_checkpoint/scheme.h"

namespace lathe::exporting {

/// What engines are told about the quantization.
struct QuantizationJson {
  nlohmann::ordered_json quantization_config;  // of config.json
  nlohmann::ordered_json hf_quant_config;      // hf_quant_config.json; null: there is no such file
  std::string algorithm;                       // of the whole model, in a word; "" for none
  std::string kv_algorithm;                    // of its KV cache; "" for none
};

/// A way to write a plan down: names, packing and shapes of tensors, and JSON. Everything else of a
/// checkpoint is the same in all dialects.
class Dialect {
 public:
  virtual ~Dialect() = default;

  /// As `--dialect` takes it.
  virtual std::string_view name() const = 0;

  /// How each layer is stored, in the given order; none where the dialect has no way to.
  virtual std::vector<std::optional<LayerStorage>> storages(std::span<const LayerScheme> layers,
                                                            DType model_dtype) const = 0;

  /// How it stores linears that the model's own checkpoint holds in one tensor.
  virtual ExpertLayout expert_layout() const { return ExpertLayout::kApart; }

  /// The name of such a KV cache, "" if the dialect has none.
  virtual std::string kv_algorithm(const KvScheme& scheme) const = 0;
  virtual PlannedCache plan_cache(const KvScheme& scheme, DType model_dtype) const = 0;

  virtual QuantizationJson describe(const std::vector<PlannedLayer>& layers,
                                    const QuantizationScheme& scheme,
                                    const std::string& producer_version) const = 0;
};

/// All dialects, the default one first.
std::span<const Dialect* const> dialects();
/// Null if there is none of that name.
const Dialect* find_dialect(std::string_view name);

}  // namespace lathe::exporting
