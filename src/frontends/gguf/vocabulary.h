#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::frontends {

/// The tokenizer.* fields of a GGUF file, as they stand there; what is absent is empty.
struct GgufVocabulary {
  std::string
      model;  // tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), ...
  std::string pre;  // tokenizer.ggml.pre: "smollm", "llama-bpe", "qwen2", ...
  std::vector<std::string> tokens;
  std::vector<int32_t> token_types;  // empty, or one for each token
  std::vector<float> scores;         // empty, or one for each token
  std::vector<std::string> merges;   // "left right", best first
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;
  std::optional<int64_t> unk_id;
  std::optional<int64_t> pad_id;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<bool> add_space_prefix;
  std::string chat_template;
};

}  // namespace lathe::frontends
