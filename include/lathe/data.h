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
/// outside the model's vocabulary, a model that takes more than input_ids or none, ...
TokenBlocks load_tokens(const std::string& path, const Model& model,
                        const DataOptions& options = {});

/// Calibration data of any model that can be run: batches of its inputs, by name, from a
/// .safetensors or .npz file (.npy for a model with one input). Each tensor holds samples along its
/// first dimension, which is cut into batches: of the size that a torch.export program was exported
/// with, or of a few where the model takes any. A tensor that fits a program as it is, beside
/// others that hold several batches, is given to each. `samples`: at most so many are taken; 0 for
/// all. `seq_len`: of token ids [N, L] the first so many of each row; 0 for all. Numbers of another
/// width are converted. DataError that lists all that does not fit: names, shapes expected and
/// found, ids outside the vocabulary. What is left out is said in `warnings`, if it is not null.
std::vector<NamedTensors> load_batches(const std::string& path, const Model& model,
                                       int64_t samples = 0,
                                       std::vector<std::string>* warnings = nullptr,
                                       int64_t seq_len = 0);

}  // namespace lathe
