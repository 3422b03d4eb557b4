// The graphs against transformers: golden/ (make_golden.py), hf/ and variants/ of tests/golden.
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "checkpoint_fixture.h"
#include "io/json.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace lathe::frontends {
namespace {

constexpr double kFloatTolerance = 1e-4;
// Of transformers' own bfloat16 error: the order of additions differs.
constexpr double kMeanFactor = 1.15;
constexpr double kMaxFactor = 1.6;

const OpenOptions kFloat32{.dtype = at::kFloat};
const OpenOptions kBFloat16{.dtype = at::kBFloat16};

class Golden : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder() const { return golden_folder(GetParam()); }
  ops::NamedTensors expected() const { return read_tensors(folder() / "expected.safetensors"); }
};

TEST_P(Golden, Float32LogitsAreThoseOfTransformers) {
  const OpenedModel opened = open_model(folder(), kFloat32);
  ir::verify_tree(*opened.model.root);
  const auto golden = expected();
  const at::Tensor found = logits_of(opened.model, {{"input_ids", golden.at("input_ids")}});
  EXPECT_LT(max_error(found, golden.at("logits")), kFloatTolerance);
}

TEST_P(Golden, PaddingIsNotSeen) {
  const OpenedModel opened = open_model(folder(), kFloat32);
  const auto golden = expected();
  const at::Tensor mask = golden.at("attention_mask");
  const at::Tensor found =
      logits_of(opened.model, {{"input_ids", golden.at("input_ids")}, {"attention_mask", mask}});
  // What stands at padding is of no use to anyone.
  const at::Tensor tokens = mask.to(at::kFloat).unsqueeze(2);
  EXPECT_LT(max_error(found * tokens, golden.at("padded_logits") * tokens), kFloatTolerance);
  EXPECT_GT(max_error(found, golden.at("logits")), 1e-2);
}

TEST_P(Golden, BFloat16IsAsNearAsTransformers) {
  const auto golden = expected();
  const at::Tensor exact = golden.at("logits");
  const at::Tensor theirs = golden.at("bf16_logits");
  const OpenedModel opened = open_model(folder(), kBFloat16);
  const at::Tensor found = logits_of(opened.model, {{"input_ids", golden.at("input_ids")}});
  EXPECT_LT(mean_error(found, exact), kMeanFactor * mean_error(theirs, exact));
  EXPECT_LT(max_error(found, exact), kMaxFactor * max_error(theirs, exact));
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Values("llama_options", "llama_gelu", "mistral_window",
                                         "qwen2_window"));

/// The names of the folders below a folder of golden data, in order.
std::vector<std::string> cases_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// A folder whose expected.safetensors has inputs by the names that the model takes, and outputs.
class Case {
 public:
  explicit Case(std::filesystem::path folder)
      : folder_(std::move(folder)), expected_(read_tensors(folder_ / "expected.safetensors")) {}

  OpenedModel open(const OpenOptions& options = {}) const { return open_model(folder_, options); }

  /// What the model makes of the inputs: the outputs that are expected, in float32.
  ops::NamedTensors run(const ir::Model& model) const {
    ops::Interpreter interpreter;
    ops::NamedTensors inputs;
    for (const auto& [name, required] : ops::model_inputs(*model.root)) {
      const auto found = expected_.find(name);
      if (found != expected_.end()) inputs[name] = found->second;
    }
    ops::NamedTensors outputs = ops::run_model(interpreter, *model.root, inputs);
    EXPECT_EQ(inputs.size() + expected_outputs(outputs).size(), expected_.size());
    return expected_outputs(outputs);
  }

  const at::Tensor& expected(const std::string& name) const { return expected_.at(name); }

 private:
  ops::NamedTensors expected_outputs(const ops::NamedTensors& outputs) const {
    ops::NamedTensors wanted;
    for (const auto& [name, value] : outputs) {
      if (expected_.contains(name)) wanted[name] = value.to(at::kFloat);
    }
    return wanted;
  }

  std::filesystem::path folder_;
  ops::NamedTensors expected_;
};

void expect_agreement(const Case& golden, const ir::Model& model) {
  const ops::NamedTensors outputs = golden.run(model);
  EXPECT_FALSE(outputs.empty());
  for (const auto& [name, found] : outputs) {
    const double error = max_error(found, golden.expected(name));
    EXPECT_LT(error, kFloatTolerance) << name;
    testing::Test::RecordProperty(name, std::to_string(error));
  }
}

/// hf/ARCH: one model of each architecture.
class Reference : public testing::TestWithParam<std::string> {
 protected:
  Case golden() const { return Case(reference_folder("hf/" + GetParam())); }
};

/// The reference was made from models whose buffers, too, had been bfloat16 before everything
/// became float32.
void round_frequencies(const ir::Module& root) {
  for (const auto& [path, module] : ir::named_modules(root)) {
    for (const auto& [name, buffer] : module->buffers) {
      buffer->set(buffer->tensor().to(at::kBFloat16).to(at::kFloat));
    }
  }
}

TEST_P(Reference, Float32Agrees) {
  const OpenedModel opened = golden().open(kFloat32);
  ir::verify_tree(*opened.model.root);
  const std::string text = ir::print(*opened.model.root);
  EXPECT_EQ(ir::print(*ir::parse_module(text)), text);
  round_frequencies(*opened.model.root);
  expect_agreement(golden(), opened.model);
}

TEST_P(Reference, BFloat16IsAsNearAsTransformers) {
  const ops::NamedTensors exact = golden().run(golden().open(kFloat32).model);
  const ops::NamedTensors found = golden().run(golden().open().model);
  const auto theirs = io::read_json(golden_folder("bf16_errors.json")).at(GetParam());
  ASSERT_EQ(found.size(), 1u);
  const at::Tensor& a = found.begin()->second;
  const at::Tensor& b = exact.begin()->second;
  EXPECT_LT(mean_error(a, b), kMeanFactor * theirs.at("mean").get<double>());
  EXPECT_LT(max_error(a, b), kMaxFactor * theirs.at("max").get<double>());
}

std::string test_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Models, Reference, testing::ValuesIn(cases_in(reference_folder("hf"))),
                         test_name);

/// variants/NAME: an option of an architecture each (make_variants.py).
class Variant : public testing::TestWithParam<std::string> {};

TEST_P(Variant, Float32Agrees) {
  const Case golden(reference_folder("variants/" + GetParam()));
  const OpenedModel opened = golden.open(kFloat32);
  ir::verify_tree(*opened.model.root);
  expect_agreement(golden, opened.model);
}

INSTANTIATE_TEST_SUITE_P(Options, Variant,
                         testing::ValuesIn(cases_in(reference_folder("variants"))), test_name);

}  // namespace
}  // namespace lathe::frontends
