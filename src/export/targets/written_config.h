#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "export/targets/target.h"

namespace lathe::exporting {

/// What consumers of compressed-tensors would refuse in a quantization_config. The library's
/// parser knows no other keys of groups and their arguments.
std::vector<std::string> compressed_config_problems(const nlohmann::json& section, Target target);

/// The same of modelopt: hf_quant_config.json (null: it is missing) and quantization_config.
std::vector<std::string> modelopt_config_problems(const nlohmann::json& section,
                                                  const nlohmann::json& own_file);

}  // namespace lathe::exporting
