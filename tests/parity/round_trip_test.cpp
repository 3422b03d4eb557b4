#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "parity/golden_preset.h"

namespace lathe::parity {
namespace {

/// A configuration of the table: the text of a preset, or of a recipe for what no preset has.
struct Case {
  std::string name;
  std::string recipe;
  std::string kv_cache = {};
};

/// FP8_DEFAULT_CFG is recipes/presets/fp8.yaml.
std::string preset_text(std::string name) {
  for (const char* word : {"_CFG", "_CONFIG", "_DEFAULT"}) {
    if (const size_t place = name.find(word); place != name.npos)
      name.erase(place, std::strlen(word));
  }
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::string path = LATHE_SOURCE_DIR "/recipes/presets/" + name + ".yaml";
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Weights and inputs by an attribute dictionary each; "" leaves the inputs alone.
Case recipe_case(const std::string& name, const std::string& weight, const std::string& input) {
  std::string recipe = "quant_cfg:\n  - {quantizer_name: '*', enable: false}\n";
  recipe += "  - {quantizer_name: '*weight_quantizer', cfg: " + weight + "}\n";
  if (!input.empty()) recipe += "  - {quantizer_name: '*input_quantizer', cfg: " + input + "}\n";
  recipe += "  - $import: units/default_disabled_quantizers\nalgorithm: max\n";
  return {name, recipe};
}

/// All presets of a model, all of a KV cache beside FP8, and number formats that the tiny families
/// need in smaller blocks or that no preset has.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const PresetInfo& preset : presets())
    all.push_back({preset.friendly_name, preset_text(preset.name)});
  for (const char* cache :
       {"fp8", "nvfp4", "fp8_cast", "nvfp4_cast", "fp8_affine", "nvfp4_affine", "nvfp4_rotate"})
    all.push_back({std::string("kv ") + cache, preset_text("FP8_DEFAULT_CFG"), cache});
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
  all.push_back(
      recipe_case("constant nvfp4", "{format: nvfp4}", "{format: nvfp4, constant_amax: 2688}"));
  all.push_back(recipe_case("constant fp8", "{format: fp8}", "{format: fp8, constant_amax: 28}"));
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

/// The configuration without the quantizers that match. Queries and probabilities are for engines
/// to quantize: no checkpoint has them.
QuantizeConfig config_of(const Case& one, std::vector<std::string> without = {}) {
  without.push_back("*[qp]_bmm_quantizer");
  std::string entries;
  for (const std::string& pattern : without)
    entries += "  - {quantizer_name: '" + pattern + "', enable: false}\n";
  std::string recipe = one.recipe;
  recipe.insert(recipe.find("algorithm:"), entries);
  QuantizeConfig config = QuantizeConfig::from_text(recipe, one.name);
  if (!one.kv_cache.empty()) config.add_kv_cache(one.kv_cache);
  return config;
}

std::filesystem::path folder_of(const std::string& family) {
  return std::filesystem::path(LATHE_GOLDEN_DIR) / "hf" / family;
}

/// The lines of a message that name a problem each.
std::vector<std::string> problems_in(const std::string& message) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < message.size();) {
    const size_t end = std::min(message.find('\n', begin), message.size());
    std::string line = message.substr(begin, end - begin);
    line.erase(0, line.find_first_not_of(' '));
    if (!line.ends_with("problems:")) lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

/// "PATH: the weight [64, 16] does not divide into blocks of 32 (...)": the tiny models have
/// layers that are too small for some formats.
std::vector<std::string> too_small(const std::string& message) {
  std::vector<std::string> patterns;
  for (const std::string& line : problems_in(message)) {
    if (line.find(" does not divide into blocks of ") != std::string::npos)
      patterns.push_back(line.substr(0, line.find(':')) + ".*");
  }
  return patterns;
}

struct Calibrated {
  std::optional<Model> model;
  std::string refusal = {};  // if there is none
  bool left_alone = false;   // layers were too small
};

Calibrated calibrated(const std::string& family, const Case& one, const NamedTensors& inputs,
                      const std::vector<std::string>& without = {}) {
  Model model = Model::open(folder_of(family).string());
  try {
    quantize(model, config_of(one, without), [&](Model& observed) { observed(inputs); });
  } catch (const Error& error) {
    const std::vector<std::string> small = too_small(error.what());
    if (!small.empty() && without.empty()) return calibrated(family, one, inputs, small);
    return {.model = {}, .refusal = error.what(), .left_alone = !without.empty()};
  }
  return {.model = std::move(model), .left_alone = !without.empty()};
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

/// The refusal to export, or "": what was read back gives the outputs of the model that was
/// exported.
std::string round_trip(Model& model, const char* dialect, const NamedTensors& inputs) {
  const auto out = scratch_folder("round-trip");
  try {
    export_checkpoint(model, out.string(), {.dialect = dialect});
  } catch (const Error& error) {
    EXPECT_FALSE(std::filesystem::exists(out.string() + ".lathe-partial")) << error.what();
    return error.what();
  }
  // Exporting may fit scales to what the dialect can hold: the model has them from then on.
  const NamedTensors before = model(inputs);
  expect_equal(before, Model::open(out.string())(inputs));
  std::filesystem::remove_all(out);
  return "";
}

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

/// Whether keys and values come out of one latent value.
bool has_latent_attention(const std::string& family) {
  return std::ranges::any_of(
      Model::open(folder_of(family).string()).modules(),
      [](const ModuleInfo& module) { return says(module.path, "kv_b_proj"); });
}

bool has_linears(const std::string& family) {
  const std::vector<ModuleInfo> modules = Model::open(folder_of(family).string()).modules();
  return std::ranges::count_if(modules, [](const ModuleInfo& module) {
           return module.type == "Linear" || module.type == "Conv1D";
         }) > 1;  // a head is left alone
}

/// A configuration may be refused before any work: an algorithm that is not there, a preset of
/// parts that this family lacks, signs that the numbers do not have.
bool may_be_refused(const std::string& family, const Case& one, const Calibrated& result) {
  const std::string& message = result.refusal;
  const std::string algorithm = config_of(one).algorithm();
  if (says(message, "the algorithm \"" + algorithm + "\" is not supported"))
    return algorithm != "max" && algorithm != "none";
  if (says(message, "quantizes nothing in this model")) {
    const bool names_parts = says(one.name, "mlp") || says(one.name, "experts");
    return names_parts || result.left_alone || !has_linears(family);
  }
  return one.name == "unsigned inputs" && says(message, "but its numbers are unsigned");
}

/// A model may be refused by an exporter: rotations are in no checkpoint, latent attention has no
/// keys and values to scale, and formats that a dialect lacks are that dialect's to refuse.
bool may_be_refused(const std::string& family, const Case& one, const std::string& problem) {
  if (says(problem, "hold a rotation") || says(problem, "say that a cache is rotated"))
    return says(one.name, "rotate");
  if (says(problem, "no linear is found that makes its keys and values"))
    return has_latent_attention(family);
  return says(problem, "dialect cannot store them") || says(problem, "dialect has no ");
}

constexpr std::array kDialects = {"modelopt", "compressed-tensors"};

/// What a refusal says of the other dialect is so.
void expect_true_advice(const std::map<std::string, std::string>& refusals) {
  for (const auto& [dialect, refusal] : refusals) {
    for (const auto& [other, other_refusal] : refusals) {
      if (says(refusal, "--dialect " + other + " can")) {
        EXPECT_EQ(other_refusal, "") << dialect << " says: " << refusal;
      }
      if (other != dialect && says(refusal, "and no other dialect can")) {
        EXPECT_NE(other_refusal, "") << dialect << " says: " << refusal;
      }
    }
  }
}

class RoundTrip : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { set_threads(1); }  // tiny models

  void print(const Case& one, const std::string& dialect, const std::string& outcome) const {
    const std::vector<std::string> lines = problems_in(outcome);
    std::printf("%-12s %-28s %-18s %s\n", GetParam().c_str(), one.name.c_str(), dialect.c_str(),
                lines.empty() ? "equal" : lines[0].substr(0, 160).c_str());
  }
};

/// Quantize, export, read back: the model that was read back gives the outputs of the one that was
/// evaluated, bit for bit, for every configuration and dialect; or it is refused with a reason that
/// holds.
TEST_P(RoundTrip, GivesWhatWasEvaluated) {
  const std::string& family = GetParam();
  const NamedTensors inputs = load_tensors((folder_of(family) / "expected.safetensors").string());
  for (const Case& one : cases()) {
    SCOPED_TRACE(family + ", " + one.name);
    Calibrated result = calibrated(family, one, inputs);
    if (!result.model) {
      print(one, "", result.refusal);
      EXPECT_TRUE(may_be_refused(family, one, result)) << result.refusal;
      continue;
    }
    std::map<std::string, std::string> refusals;
    for (const char* dialect : kDialects) {
      const std::string refusal = round_trip(*result.model, dialect, inputs);
      print(one, dialect, refusal);
      for (const std::string& problem : problems_in(refusal))
        EXPECT_TRUE(may_be_refused(family, one, problem)) << problem;
      refusals[dialect] = refusal;
    }
    expect_true_advice(refusals);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, RoundTrip, testing::ValuesIn(families()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lathe::parity
