#include "export/targets/written_config.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/error.h"

namespace lathe::exporting {
namespace {

using nlohmann::json;

const std::set<std::string_view> kGroupKeys = {"targets", "format", "weights", "input_activations",
                                               "output_activations"};
const std::set<std::string_view> kArgumentKeys = {"num_bits",    "type",       "symmetric",
                                                  "strategy",    "group_size", "block_structure",
                                                  "scale_dtype", "dynamic"};

void check_keys(const json& object, const std::set<std::string_view>& known,
                const std::string& where, std::vector<std::string>& problems) {
  for (const auto& [key, unused] : object.items()) {
    if (!known.contains(key))
      problems.push_back(fmt::format("{}: no reader knows \"{}\"", where, key));
  }
}

void check_arguments(const json& arguments, const std::string& where,
                     std::vector<std::string>& problems) {
  if (arguments.is_null()) return;
  check_keys(arguments, kArgumentKeys, where, problems);
  for (const char* key : {"num_bits", "type", "strategy", "dynamic"}) {
    if (!arguments.contains(key))
      problems.push_back(fmt::format("{}: \"{}\" is missing", where, key));
  }
  const std::string strategy = arguments.value("strategy", "");
  const bool grouped = strategy == "group" || strategy == "tensor_group";
  if (grouped != arguments.contains("group_size"))
    problems.push_back(
        fmt::format("{}: \"group_size\" and the strategy {} do not fit", where, strategy));
  if ((strategy == "block") != arguments.contains("block_structure"))
    problems.push_back(
        fmt::format("{}: \"block_structure\" and the strategy {} do not fit", where, strategy));
}

void check_group(const json& group, const std::string& where, bool alone,
                 std::vector<std::string>& problems) {
  check_keys(group, kGroupKeys, where, problems);
  check_arguments(group.value("weights", json()), where + ".weights", problems);
  check_arguments(group.value("input_activations", json()), where + ".input_activations", problems);
  const json targets = group.value("targets", json::array());
  if (targets.empty()) problems.push_back(where + ": there are no targets");
  const bool names_class = std::ranges::find(targets, json("Linear")) != targets.end();
  if (names_class && !alone)
    problems.push_back(where + ": a group of several must name its modules, not a class");
}

void require(const json& object, std::initializer_list<const char*> keys, const std::string& where,
             std::vector<std::string>& problems) {
  for (const char* key : keys) {
    if (!object.contains(key)) problems.push_back(fmt::format("{}: \"{}\" is missing", where, key));
  }
}

}  // namespace

std::vector<std::string> compressed_config_problems(const json& section, Target target) {
  std::vector<std::string> problems;
  const std::string where = "quantization_config";
  require(section, {"quant_method", "format", "quantization_status", "config_groups", "ignore"},
          where, problems);
  const json groups = section.value("config_groups", json::object());
  for (const auto& [name, group] : groups.items())
    check_group(group, name, groups.size() == 1, problems);
  const json cache = section.value("kv_cache_scheme", json());
  check_arguments(cache, "kv_cache_scheme", problems);
  const bool fp8 = cache.is_null() || (cache["num_bits"] == 8 && cache["type"] == "float");
  if (!fp8)
    problems.push_back(
        fmt::format("kv_cache_scheme: {} reads 8-bit floats alone", target_title(target)));
  return problems;
}

std::vector<std::string> modelopt_config_problems(const json& section, const json& own_file) {
  std::vector<std::string> problems;
  require(section, {"quant_method", "quant_algo", "ignore"}, "quantization_config", problems);
  const json nested = own_file.is_object() ? own_file.value("quantization", json()) : json();
  const std::string file = "hf_quant_config.json";
  if (!nested.is_object()) return {file + ": there is no \"quantization\""};
  require(nested, {"quant_algo", "kv_cache_quant_algo", "exclude_modules"}, file, problems);
  const json algorithm = nested.value("quant_algo", json());
  if (algorithm != section.value("quant_algo", json()))
    problems.push_back(file + " and config.json name different algorithms");
  if (algorithm == "NVFP4" || algorithm == "W4A16_AWQ")
    require(nested, {"group_size"}, file, problems);
  const bool mixed = algorithm == "MIXED_PRECISION";
  if (mixed && nested.value("quantized_layers", json::object()).empty())
    problems.push_back(file + ": MIXED_PRECISION without quantized_layers");
  return problems;
}

}  // namespace lathe::exporting
