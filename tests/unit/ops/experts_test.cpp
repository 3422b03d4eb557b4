// Routing tokens to experts, and attention whose scores are changed.
#include "ops/experts.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "ops/attention_options.h"
#include "ops/expert_counts.h"
#include "ops/operators.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

at::Tensor row(const std::vector<double>& values) {
  return at::tensor(values, at::kFloat).unsqueeze(0);
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Route, SoftmaxOverAllOrOverTheBest) {
  const at::Tensor logits = row({1.0, 3.0, 2.0});
  const at::Tensor all = at::softmax(logits, -1)[0];
  auto [weights, experts] = route(logits, {.top_k = 2}, std::nullopt);
  EXPECT_TRUE(at::equal(experts, at::tensor({1, 2}, at::kLong).unsqueeze(0)));
  EXPECT_FLOAT_EQ(weights[0][0].item<float>(), all[1].item<float>());
  auto normalized = route(logits, {.top_k = 2, .normalize = true, .scaling = 3.0}, std::nullopt);
  EXPECT_FLOAT_EQ(std::get<0>(normalized).sum().item<float>(), 3.0f);
  auto best = route(logits, {.score = Routing::Score::kSoftmaxOfTopK, .top_k = 2}, std::nullopt);
  EXPECT_LT(distance(std::get<0>(best), at::softmax(row({3.0, 2.0}), -1)), 1e-6);
}

TEST(Route, SigmoidChoosesWithTheCorrectionAndWeighsWithout) {
  const at::Tensor logits = row({0.5, 0.4, 0.3, 0.2});
  const at::Tensor correction = at::tensor({0.0, 0.0, 0.0, 5.0}, at::kFloat);
  auto [weights, experts] =
      route(logits, {.score = Routing::Score::kSigmoid, .top_k = 1}, correction);
  EXPECT_EQ(experts.item<int64_t>(), 3);
  EXPECT_NEAR(weights.item<double>(), 1 / (1 + std::exp(-0.2)), 1e-6);
}

TEST(Route, ClosedGroupsAreNotChosen) {
  // The best expert is in the group whose two best are worse together.
  const at::Tensor logits = row({9.0, -9.0, 1.0, 1.5});
  auto [weights, experts] = route(
      logits, {.score = Routing::Score::kSigmoid, .top_k = 2, .groups = 2, .top_groups = 1}, {});
  EXPECT_TRUE(at::equal(experts, at::tensor({3, 2}, at::kLong).unsqueeze(0)));
}

TEST(Experts, EachSeesItsTokensAndTheSumIsWeighted) {
  const int64_t tokens = 13, count = 4, top_k = 2;
  const at::Tensor x = random_tensor({tokens, 5}, at::kFloat, 1);
  auto [weights, experts] =
      route(random_tensor({tokens, count}, at::kFloat, 2), {.top_k = top_k}, std::nullopt);
  auto [pairs, bounds] = assign_experts(experts, count);
  c10::List<at::Tensor> outputs;
  int64_t rows = 0;
  for (int64_t e = 0; e < count; ++e) {
    const at::Tensor own = expert_rows(x, pairs, bounds, top_k, e);
    EXPECT_EQ(own.size(0), experts.eq(e).sum().item<int64_t>());
    rows += own.size(0);
    outputs.push_back(own * static_cast<double>(e + 1));
  }
  EXPECT_EQ(rows, tokens * top_k);
  const at::Tensor factors = (weights * (experts + 1)).sum(1, true);
  EXPECT_LT(distance(combine_experts(outputs, weights, pairs), x * factors), 1e-5);
}

TEST(Experts, OneThatNobodyAsksForSeesNothing) {
  const at::Tensor experts = at::full({3, 1}, 2, at::kLong);
  auto [pairs, bounds] = assign_experts(experts, 5);
  EXPECT_EQ(expert_rows(random_tensor({3, 2}, at::kFloat, 3), pairs, bounds, 1, 4).size(0), 0);
  EXPECT_EQ(expert_rows(random_tensor({3, 2}, at::kFloat, 4), pairs, bounds, 1, 2).size(0), 3);
  EXPECT_THROW(assign_experts(experts, 2), c10::Error);
}

TEST(Experts, TokensAreCountedAtTheRouter) {
  LeafTable table = LeafTable::builtin();
  ExpertCounts counts;
  counts.watch(table);
  const ir::ModulePtr router = ir::make_module("TopKRouter");
  router->attributes.set("score", std::string("softmax"));
  router->attributes.set("top_k", int64_t{1});
  router->attributes.set("normalize", false);
  router->attributes.set("scaling", 1.0);
  router->attributes.set("groups", int64_t{1});
  router->attributes.set("top_groups", int64_t{1});
  EXPECT_TRUE(counts.of(*router).empty());
  const std::vector<c10::IValue> arguments = {at::cat({row({0, 1, 0}), row({5, 1, 0})})};
  for (int run = 0; run < 2; ++run) (*table.find("TopKRouter"))(*router, arguments);
  EXPECT_EQ(counts.of(*router), (std::vector<int64_t>{2, 2, 0}));
}

/// Attention by its definition, one head a time, in float64.
at::Tensor reference(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const at::Tensor& seen, double scale, const ScoreOptions& options) {
  at::Tensor scores = query.to(at::kDouble).matmul(key.to(at::kDouble).transpose(-1, -2)) * scale;
  if (options.softcap) scores = (scores / *options.softcap).tanh() * *options.softcap;
  if (options.bias) scores = scores + options.bias->to(at::kDouble);
  at::Tensor weights = scores.exp() * seen;
  at::Tensor sum = weights.sum(-1, true);
  if (options.sinks) sum = sum + options.sinks->to(at::kDouble).exp().view({1, -1, 1, 1});
  return (weights / sum).matmul(value.to(at::kDouble)).to(at::kFloat);
}

TEST(AttentionOptions, AreThoseOfTheDefinition) {
  const int64_t tokens = 300;  // more than one part of rows
  const at::Tensor query = random_tensor({2, 4, tokens, 8}, at::kFloat, 5);
  const at::Tensor key = random_tensor({2, 2, tokens, 8}, at::kFloat, 6);
  const at::Tensor value = random_tensor({2, 2, tokens, 6}, at::kFloat, 7);
  const at::Tensor keys = key.repeat_interleave(2, 1);
  const at::Tensor values = value.repeat_interleave(2, 1);
  const at::Tensor age = at::arange(tokens).unsqueeze(1) - at::arange(tokens).unsqueeze(0);
  const at::Tensor seen = age.ge(0).logical_and(age.lt(50)).to(at::kDouble);
  const ScoreOptions cases[] = {{.softcap = 1.5},
                                {.sinks = random_tensor({4}, at::kFloat, 8)},
                                {.bias = random_tensor({1, 4, tokens, tokens}, at::kFloat, 9)},
                                {.softcap = 2.0,
                                 .sinks = random_tensor({4}, at::kFloat, 10),
                                 .bias = random_tensor({2, 4, tokens, tokens}, at::kFloat, 16)}};
  for (const ScoreOptions& options : cases) {
    const at::Tensor found =
        attention_with_options(query, key, value, std::nullopt, true, 0.4, 50, options);
    EXPECT_LT(distance(found, reference(query, keys, values, seen, 0.4, options)), 1e-5);
  }
}

TEST(AttentionOptions, PaddingIsHiddenAndRowsWithoutKeysAreNumbers) {
  const at::Tensor x = random_tensor({1, 1, 4, 2}, at::kFloat, 11);
  const at::Tensor mask = at::tensor({0, 0, 1, 1}, at::kLong).unsqueeze(0);
  const ScoreOptions capped{.softcap = 10.0};
  const at::Tensor found = attention_with_options(x, x, x, mask, true, 1.0, std::nullopt, capped);
  EXPECT_FALSE(found.isnan().any().item<bool>());
  EXPECT_LT(distance(found.select(2, 2), x.select(2, 2)), 1e-6);  // sees itself alone
}

TEST(AttentionOptions, QueriesMayBeFewerThanKeysWithoutOrder) {
  const at::Tensor query = random_tensor({1, 2, 3, 4}, at::kFloat, 12);
  const at::Tensor key = random_tensor({1, 2, 5, 4}, at::kFloat, 13);
  const ScoreOptions biased{.bias = random_tensor({1, 2, 3, 5}, at::kFloat, 14)};
  const at::Tensor found =
      attention_with_options(query, key, key, std::nullopt, false, 1.0, std::nullopt, biased);
  const at::Tensor all = at::full({3, 5}, 1.0, at::kDouble);
  EXPECT_LT(distance(found, reference(query, key, key, all, 1.0, biased)), 1e-5);
  EXPECT_THROW(attention_with_options(query, key, key, std::nullopt, false, 1.0, std::nullopt,
                                      {.sinks = random_tensor({3}, at::kFloat, 15)}),
               c10::Error);
}

}  // namespace
}  // namespace lathe::ops
