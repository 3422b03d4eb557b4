#include "api/token_batches.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>

namespace lathe::api {

std::vector<ops::NamedTensors> token_batches(const TokenBlocks& blocks, int64_t batch_tokens) {
  const int64_t rows = std::max<int64_t>(1, batch_tokens / blocks.seq_len);
  std::vector<ops::NamedTensors> batches;
  for (int64_t first = 0; first < blocks.samples; first += rows) {
    const int64_t count = std::min(rows, blocks.samples - first);
    auto* ids = const_cast<int64_t*>(blocks.ids.data() + first * blocks.seq_len);
    batches.push_back(
        {{"input_ids", at::from_blob(ids, {count, blocks.seq_len}, at::kLong).clone()}});
  }
  return batches;
}

int64_t tokens_of_sample(const at::Tensor& input) {
  constexpr int64_t kPatch = 16;
  switch (input.dim()) {
    case 2:
      return std::max<int64_t>(1, input.size(1));
    case 3:
      return std::max<int64_t>(1, input.size(2) / 2);
    case 4:
      return std::max<int64_t>(1, input.size(2) * input.size(3) / (kPatch * kPatch));
    default:
      return 1;
  }
}

}  // namespace lathe::api
