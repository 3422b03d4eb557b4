#include "lathe/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "unit/api/tiny_llama.h"

namespace lathe {
namespace {

/// The log-probabilities of one row of logits, in double.
std::vector<double> log_softmax(const float* logits, int64_t count) {
  double most = logits[0], sum = 0;
  for (int64_t i = 1; i < count; ++i) most = std::max<double>(most, logits[i]);
  for (int64_t i = 0; i < count; ++i) sum += std::exp(logits[i] - most);
  std::vector<double> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(logits[i] - most - std::log(sum));
  return out;
}

/// Calls use(log-probabilities, next id) for each predicted token.
template <typename Use>
void for_each_prediction(Model& model, const TokenBlocks& data, const Use& use) {
  const Tensor logits = model({{"input_ids", ids_of(data)}}).at("logits");
  const int64_t vocabulary = logits.shape().back();
  for (int64_t token = 0; token + 1 < data.samples * data.seq_len; ++token) {
    if ((token + 1) % data.seq_len == 0) continue;  // the last of a block predicts nothing
    use(log_softmax(logits.values<float>().data() + token * vocabulary, vocabulary),
        data.ids[static_cast<size_t>(token + 1)]);
  }
}

class Evaluate : public testing::Test {
 protected:
  Model model_ = Model::open(LATHE_GOLDEN_DIR "/modelopt/llama/base", {.dtype = DType::kF32});
  TokenBlocks data_ = tiny_tokens(model_, 5);
};

TEST_F(Evaluate, IsTheMeanLossOfTheLogits) {
  double sum = 0, squares = 0;
  int64_t count = 0;
  for_each_prediction(model_, data_, [&](const std::vector<double>& log_probability, int64_t next) {
    const double loss = -log_probability[static_cast<size_t>(next)];
    sum += loss;
    squares += loss * loss;
    ++count;
  });
  const auto n = static_cast<double>(count);
  const double mean = sum / n;
  const double error = std::sqrt((squares / n - mean * mean) / (n - 1));
  const Evaluation evaluation = evaluate(model_, data_);
  EXPECT_EQ(evaluation.tokens, count);
  EXPECT_NEAR(evaluation.loss, mean, 1e-5 * mean);
  EXPECT_NEAR(evaluation.loss_error, error, 1e-3 * error);
  EXPECT_NEAR(evaluation.perplexity, std::exp(evaluation.loss), 1e-9 * evaluation.perplexity);
  EXPECT_FALSE(evaluation.divergence);
}

TEST_F(Evaluate, DivergenceIsThatOfTheTwoDistributions) {
  Model quantized = Model::open(LATHE_GOLDEN_DIR "/modelopt/llama/base", {.dtype = DType::kF32});
  quantize(quantized, QuantizeConfig::from_preset("int4"));
  std::vector<std::vector<double>> reference;
  for_each_prediction(model_, data_, [&](const std::vector<double>& log_probability, int64_t) {
    reference.push_back(log_probability);
  });
  double sum = 0;
  size_t token = 0;
  for_each_prediction(quantized, data_, [&](const std::vector<double>& log_probability, int64_t) {
    const std::vector<double>& truth = reference[token++];
    for (size_t i = 0; i < truth.size(); ++i)
      sum += std::exp(truth[i]) * (truth[i] - log_probability[i]);
  });
  const Evaluation evaluation = evaluate(quantized, data_, &model_);
  const double mean = sum / static_cast<double>(token);
  EXPECT_NEAR(evaluation.divergence->mean, mean, 1e-3 * mean);
  EXPECT_GT(evaluation.divergence->maximum, evaluation.divergence->median);
  EXPECT_EQ(evaluation.divergence->reference_perplexity, evaluate(model_, data_).perplexity);
}

TEST_F(Evaluate, RefusesWhatCannotBeCompared) {
  const Model image = Model::open(LATHE_GOLDEN_DIR "/hf/qwen2");
  TokenBlocks outside = data_;
  outside.ids[3] = 1'000'000;
  EXPECT_THROW(evaluate(model_, outside), Error);
  if (image.vocab_size() == model_.vocab_size()) return;
  Model other = image;
  EXPECT_THROW(evaluate(model_, data_, &other), UserError);
}

}  // namespace
}  // namespace lathe
