// The graphs against transformers: golden/ and the reference (make_golden.py).
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"
#include "io/json.h"
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

class Reference : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder() const { return reference_folder(std::string("hf/") + GetParam()); }
};

/// The reference was made from a model whose buffers, too, had been bfloat16 before everything
/// became float32.
void round_frequencies(ir::Model& model) {
  const ir::ParameterPtr frequencies = model.root->find_parameter("model.rotary_emb.inv_freq");
  ASSERT_NE(frequencies, nullptr);
  frequencies->set(frequencies->tensor().to(at::kBFloat16).to(at::kFloat));
}

TEST_P(Reference, Float32LogitsAgree) {
  OpenedModel opened = open_model(folder(), kFloat32);
  round_frequencies(opened.model);
  const auto golden = read_tensors(folder() / "expected.safetensors");
  const at::Tensor found = logits_of(opened.model, {{"input_ids", golden.at("input_ids")}});
  EXPECT_LT(max_error(found, golden.at("logits")), kFloatTolerance);
}

TEST_P(Reference, BFloat16IsAsNearAsTransformers) {
  const auto golden = read_tensors(folder() / "expected.safetensors");
  const ops::NamedTensors inputs = {{"input_ids", golden.at("input_ids")}};
  const at::Tensor exact = logits_of(open_model(folder(), kFloat32).model, inputs);
  const at::Tensor found = logits_of(open_model(folder()).model, inputs);
  const auto theirs = io::read_json(golden_folder("bf16_errors.json")).at(GetParam());
  EXPECT_LT(mean_error(found, exact), kMeanFactor * theirs.at("mean").get<double>());
  EXPECT_LT(max_error(found, exact), kMaxFactor * theirs.at("max").get<double>());
}

INSTANTIATE_TEST_SUITE_P(Models, Reference, testing::Values("llama", "mistral", "qwen2", "qwen3"));

}  // namespace
}  // namespace lathe::frontends
