#pragma once

#include <vector>

#include "lathe/data.h"
#include "ops/interpreter.h"

namespace lathe::api {

/// Tokens that go through a block at once: enough to keep the matrix products busy.
inline constexpr int64_t kBatchTokens = 2048;

/// Memory for the activations of all batches between blocks; beyond it they are spilled to a file.
inline constexpr size_t kActivationBudget = size_t{256} << 20;

/// The blocks as batches {"input_ids": [n, seq_len]} of about `batch_tokens` tokens.
std::vector<ops::NamedTensors> token_batches(const TokenBlocks& blocks, int64_t batch_tokens);

/// Tokens of one sample of an input: ids [N, L] have L, spectra [N, C, L] half as many, images
/// [N, C, H, W] about one for 16 x 16 pixels.
int64_t tokens_of_sample(const at::Tensor& input);

}  // namespace lathe::api
