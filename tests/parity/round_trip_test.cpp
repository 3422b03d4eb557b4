#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

#include "parity/golden_preset.h"

namespace lathe::parity {
namespace {

/// A configuration of the table: a preset, or a recipe for what no preset has.
struct Case {
  std::string name;
  std::string preset;
  std::string recipe;
  std::string kv_cache;
};

/// Weights and inputs by an attribute dictionary each; "" leaves the inputs alone.
Case recipe_case(const std::string& name, const std::string& weight, const std::string& input) {
  std::string recipe = "quant_cfg:\n  - {quantizer_name: '*', enable: false}\n";
  recipe += "  - {quantizer_name: '*weight_quantizer', cfg: " + weight + "}\n";
  if (!input.empty()) recipe += "  - {quantizer_name: '*input_quantizer', cfg: " + input + "}\n";
  recipe += "  - $import: units/default_disabled_quantizers\nalgorithm: max\n";
  return {name, "", recipe, ""};
}

/// All presets of a model, all of a KV cache beside FP8, and number formats that the tiny families
/// need in smaller blocks or that no preset has.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const PresetInfo& preset : presets())
    all.push_back({preset.friendly_name, preset.friendly_name, "", ""});
  for (const char* cache :
       {"fp8", "nvfp4", "fp8_cast", "nvfp4_cast", "fp8_affine", "nvfp4_affine", "nvfp4_rotate"})
    all.push_back({std::string("kv ") + cache, "fp8", "", cache});
  const std::string int4 = "{format: int4, block_sizes: {-1: 32}}";
  all.push_back(recipe_case("int4 block 32", int4, ""));
  all.push_back(recipe_case("w4a8 block 32", "[" + int4 + ", {format: fp8}]", "{format: fp8}"));
  all.push_back(recipe_case("int8 per tensor", "{format: int8}", "{format: int8}"));
  all.push_back(recipe_case("int8 narrow", "{num_bits: 8, axis: 0, narrow_range: true}", ""));
  const std::string e2m3 =
      "{num_bits: e2m3, block_sizes: {-1: 32, type: dynamic, scale_bits: e8m0}}";
  all.push_back(recipe_case("mxfp6 e2m3", e2m3, e2m3));
  const std::string e5m2 =
      "{num_bits: e5m2, block_sizes: {-1: 32, type: dynamic, scale_bits: e8m0}}";
  all.push_back(recipe_case("mxfp8 e5m2", e5m2, e5m2));
  all.push_back(recipe_case("nvfp4 block 32", "{format: nvfp4_bs32}", "{format: nvfp4_bs32}"));
  all.push_back(recipe_case("unsigned inputs", "{format: int8_per_channel}",
                            "{num_bits: 8, unsigned: true}"));
  all.push_back(recipe_case("rotated", "{format: int8_per_channel, rotate: true}",
                            "{format: int8, rotate: true}"));
  return all;
}

std::vector<std::string> families() {
  std::vector<std::string> names;
  const auto folder = std::filesystem::path(LATHE_GOLDEN_DIR) / "hf";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

QuantizeConfig config_of(const Case& one) {
  QuantizeConfig config = one.preset.empty() ? QuantizeConfig::from_text(one.recipe, one.name)
                                             : QuantizeConfig::from_preset(one.preset);
  if (!one.kv_cache.empty()) config.add_kv_cache(one.kv_cache);
  return config;
}

/// Same names, same bytes.
void expect_equal(const NamedTensors& before, const NamedTensors& after) {
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, tensor] : before) {
    ASSERT_TRUE(after.contains(name)) << name;
    ASSERT_EQ(tensor.bytes(), after.at(name).bytes()) << name;
    EXPECT_EQ(std::memcmp(tensor.data(), after.at(name).data(), tensor.bytes()), 0) << name;
  }
}

class RoundTrip : public testing::TestWithParam<std::string> {};

/// What came of one pair; a planned error is a message that says what stands in the way.
struct Outcome {
  std::optional<std::string> refusal;
};

Outcome round_trip(const std::string& family, const Case& one) {
  const auto folder = std::filesystem::path(LATHE_GOLDEN_DIR) / "hf" / family;
  const NamedTensors inputs = load_tensors((folder / "expected.safetensors").string());
  const auto out = scratch_folder("round-trip");
  Model model = Model::open(folder.string());
  bool is_split = false;
  try {
    quantize(model, config_of(one), [&](Model& calibrated) { calibrated(inputs); });
    // Queries and probabilities are for engines to quantize: no checkpoint has them.
    disable_quantizers(model, "*[qp]_bmm_quantizer");
    is_split = disable_quantizers(model, "*p_bmm_quantizer") > 0;
    export_checkpoint(model, out.string());
  } catch (const UserError& error) {
    return {error.what()};
  } catch (const DataError& error) {
    return {error.what()};
  }
  const NamedTensors before = model(inputs);
  const NamedTensors after = Model::open(out.string())(inputs);
  // Attention that was taken apart for its probabilities sums in another order than the whole.
  if (!is_split) expect_equal(before, after);
  std::filesystem::remove_all(out);
  return {};
}

/// Words of the reasons for which a pair may be refused: an algorithm that is not there, a shape
/// that does not suit the format, nothing to quantize, values that the format cannot have, a
/// checkpoint that no dialect can write.
bool is_reason(const std::string& message) {
  for (const char* word : {"algorithm", "divi", "quantizes nothing", "unsigned", "dialect",
                           "checkpoint", "one format", "no linear is found"}) {
    if (message.find(word) != std::string::npos) return true;
  }
  return false;
}

bool has_linears(const std::string& family) {
  const auto folder = std::filesystem::path(LATHE_GOLDEN_DIR) / "hf" / family;
  const std::vector<ModuleInfo> modules = Model::open(folder.string()).modules();
  return std::ranges::count(modules, "Linear", &ModuleInfo::type) > 1;  // a head is left alone
}

/// Quantize, export, read back: the model that was read back gives the outputs of the one that was
/// evaluated, bit for bit, for every configuration; or the configuration is refused with a reason.
TEST_P(RoundTrip, GivesWhatWasEvaluated) {
  int equal = 0;
  for (const Case& one : cases()) {
    SCOPED_TRACE(GetParam() + ", " + one.name);
    const Outcome outcome = round_trip(GetParam(), one);
    const std::string text = outcome.refusal ? outcome.refusal->substr(0, 160) : "equal";
    std::printf("%-12s %-28s %s\n", GetParam().c_str(), one.name.c_str(),
                text.substr(0, text.find('\n')).c_str());
    if (outcome.refusal) {
      EXPECT_TRUE(is_reason(*outcome.refusal)) << *outcome.refusal;
    } else {
      ++equal;
    }
  }
  EXPECT_GE(equal, has_linears(GetParam()) ? 20 : 0);
}

INSTANTIATE_TEST_SUITE_P(Families, RoundTrip, testing::ValuesIn(families()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lathe::parity
