#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lathe::tokenizer {

/// tokenizer.ggml.token_type of a GGUF file.
enum class GgufTokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

/// The tokenizer.* fields of a GGUF file. The optional ones are absent in many files; what
/// llama.cpp takes then is taken here too.
struct GgufVocabulary {
  std::string
      model;        // tokenizer.ggml.model: "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE)
  std::string pre;  // tokenizer.ggml.pre: "smollm", "llama-bpe", "qwen2", "gpt-2", ...: how gpt2
                    // splits text
  std::vector<std::string> tokens;
  std::vector<int32_t> token_types;  // GgufTokenType of each token, or empty
  std::vector<float> scores;         // "llama": the token with the largest score is merged first
  std::vector<std::string> merges;   // "gpt2": "left right", best first
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;
  std::optional<int64_t> unk_id;
  std::optional<int64_t> pad_id;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<bool> add_space_prefix;
  std::string chat_template;
};

/// The tokenizer.json that gives this vocabulary's ids in the `tokenizers` package (0.20 or later).
/// DataError for an unknown `model` or `pre`, or ids and lengths that do not fit together.
std::string tokenizer_json(const GgufVocabulary& vocabulary);

/// The tokenizer_config.json beside it: special tokens, whether bos and eos are added, the chat
/// template.
std::string tokenizer_config_json(const GgufVocabulary& vocabulary);

}  // namespace lathe::tokenizer
