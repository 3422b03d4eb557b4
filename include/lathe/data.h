#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/model.h"

namespace lathe {

/// Blocks of token ids, all of one length: [samples, seq_len].
struct TokenBlocks {
  std::vector<int64_t> ids;
  int64_t samples = 0;
  int64_t seq_len = 0;
  std::string source;  // the file, for messages
};

struct DataOptions {
  int64_t samples = 0;  // at most; 0: all
  int64_t seq_len = 0;  // 0: 512 for text, the file's own length for ids
};

/// Token ids from a file: .txt (the whole text is tokenized and cut into blocks of seq_len; a rest
/// that is shorter is left out), .jsonl (a text or a list of messages a line, joined in order and
/// cut likewise), .safetensors or .npy (int64 input_ids [N, L], cut to seq_len), or "builtin" (the
/// text that comes with Lathe). UserError or DataError: no such file, too short for one block, ids
/// outside the model's vocabulary, ...
TokenBlocks load_tokens(const std::string& path, const Model& model,
                        const DataOptions& options = {});

}  // namespace lathe
