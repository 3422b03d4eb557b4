#include "frontends/huggingface/rope.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"
#include "io/json.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

RopeSettings settings_of(const Json& config) {
  return read_rope(ConfigReader(config, "config.json"));
}

std::string rope_error(ErrorKind kind, const Json& config) {
  return error_of(kind, [&] { settings_of(config); });
}

TEST(Rope, FrequenciesAreThoseOfTransformers) {
  for (const Json& item : io::read_ordered_json(golden_folder("rope.json"))) {
    SCOPED_TRACE(item.at("name").get<std::string>());
    const Json config = {{"rope_parameters", item.at("rope_parameters")}};
    const Rope rope = make_rope(settings_of(config), item.at("head_dim").get<int64_t>());
    const auto expected = item.at("inv_freq").get<std::vector<double>>();
    ASSERT_EQ(rope.inv_freq.numel(), static_cast<int64_t>(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(rope.inv_freq[static_cast<int64_t>(i)].item<float>(),
                static_cast<float>(expected[i]));
    }
    EXPECT_DOUBLE_EQ(rope.attention_scaling, item.at("attention_scaling").get<double>());
  }
}

TEST(Rope, OldSpellingsMeanTheSame) {
  const RopeSettings old =
      settings_of({{"rope_theta", 5000}, {"rope_scaling", {{"type", "linear"}, {"factor", 2}}}});
  EXPECT_EQ(old.type, "linear");
  EXPECT_EQ(old.theta, 5000.0);
  EXPECT_EQ(old.factor, 2.0);
  const RopeSettings plain = settings_of({{"rope_theta", 5000.5}, {"rope_scaling", nullptr}});
  EXPECT_EQ(plain.type, "default");
  EXPECT_EQ(plain.theta, 5000.5);
  EXPECT_EQ(settings_of(Json::object()).theta, 10000.0);
}

TEST(Rope, Llama3TakesTheContextFromTheModel) {
  const RopeSettings rope = settings_of({{"max_position_embeddings", 4096},
                                         {"rope_scaling",
                                          {{"rope_type", "llama3"},
                                           {"factor", 8.0},
                                           {"low_freq_factor", 1.0},
                                           {"high_freq_factor", 4.0}}}});
  EXPECT_EQ(rope.original_max_position_embeddings, 4096.0);
}

TEST(Rope, UnsupportedTypesAreNamed) {
  for (const char* type : {"proportional", "mrope"}) {
    const std::string error =
        rope_error(ErrorKind::kUser, {{"rope_scaling", {{"rope_type", type}, {"factor", 2.0}}}});
    expect_contains(error, std::string("\"rope_scaling.rope_type\" is \"") + type + "\"");
  }
  expect_contains(rope_error(ErrorKind::kUser, {{"partial_rotary_factor", 0.5}}),
                  "\"partial_rotary_factor\" is 0.5");
  expect_contains(
      rope_error(ErrorKind::kUser,
                 {{"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}}}),
      "rope_parameters.full_attention");
}

TEST(Rope, BadNumbersAreNamed) {
  expect_contains(rope_error(ErrorKind::kData, {{"rope_theta", 0}}), "\"rope_theta\" must be");
  expect_contains(rope_error(ErrorKind::kData, {{"rope_theta", "many"}}), "found \"many\"");
  expect_contains(rope_error(ErrorKind::kData, {{"rope_scaling", {{"type", "linear"}}}}),
                  "\"rope_scaling.factor\" must be a finite number above 0, found nothing");
  expect_contains(rope_error(ErrorKind::kData, {{"rope_scaling", 3}}), "must be an object");
  const Json equal_factors = {{"rope_type", "llama3"},
                              {"factor", 8},
                              {"low_freq_factor", 4},
                              {"high_freq_factor", 4},
                              {"original_max_position_embeddings", 8192}};
  expect_contains(rope_error(ErrorKind::kData, {{"rope_parameters", equal_factors}}),
                  "above low_freq_factor");
}

}  // namespace
}  // namespace lathe::frontends
