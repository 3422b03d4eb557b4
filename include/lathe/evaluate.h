#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lathe/data.h"
#include "lathe/model.h"

namespace lathe {

/// How well a language model predicts a text, each block alone.
struct Evaluation {
  double loss = 0;              // mean negative log-likelihood of a token, in nats
  double loss_error = 0;        // standard error of the mean
  double perplexity = 0;        // exp(loss)
  double perplexity_error = 0;  // perplexity * loss_error
  int64_t tokens = 0;           // predicted: samples * (seq_len - 1)
  double seconds = 0;

  /// Against a reference model on the same tokens.
  struct Divergence {
    double mean = 0;   // KL(reference || model) of a token, in nats
    double error = 0;  // standard error of the mean
    double median = 0;
    double percentile_99 = 0;
    double maximum = 0;
    double same_top = 0;  // share of tokens whose most likely successor is the same
    double reference_perplexity = 0;
  };
  std::optional<Divergence> divergence;
};

/// Why a model has no perplexity, in a sentence: it is not a decoder that predicts the next token.
/// "" if it has one.
std::string evaluation_problem(const Model& model);

/// Runs block by block of layers, so that one block's weights are in memory at a time. Both models
/// must have the same vocabulary.
Evaluation evaluate(Model& model, const TokenBlocks& data, Model* reference = nullptr);

}  // namespace lathe
