#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quantization/config/quant_config.h"

namespace lathe::quantization {

/// Whether an object of the list form is an entry, rather than pairs of the object form.
bool is_entry(const nlohmann::ordered_json& object);

/// {"quantizer_name": ..., "cfg": ..., "enable": ..., "parent_class": ...}.
QuantConfigEntry parse_entry(const nlohmann::ordered_json& value, const std::string& where);

/// The pairs of the object form ({"*weight_quantizer": {...}}, {"nn.Linear": {"*": {...}}}), in
/// the order of the keys; `default` is `*`.
std::vector<QuantConfigEntry> parse_keyed_entries(const nlohmann::ordered_json& object,
                                                  const std::string& where);

}  // namespace lathe::quantization
