#include "frontends/gguf/gguf_config.h"

#include <array>

#include "base/error.h"
#include "frontends/gguf/gguf_rope.h"
#include "ir/scalar_types.h"
#include "lathe/dtype.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kArchitectures = {
    GgufArchitecture{"llama", "LlamaForCausalLM", true},
    GgufArchitecture{"qwen2", "Qwen2ForCausalLM", false},
    GgufArchitecture{"qwen3", "Qwen3ForCausalLM", false},
};

/// The metadata of the architecture: keys are "llama.block_count", ...
class ArchitectureReader {
 public:
  ArchitectureReader(const io::GgufFile& file, std::string_view prefix)
      : file_(file), prefix_(prefix) {}

  std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }
  uint64_t get(std::string_view name) const { return file_.metadata().get_u64(key(name)); }
  std::optional<uint64_t> find(std::string_view name) const {
    return file_.metadata().find_u64(key(name));
  }

  /// A setting that models of this kind may have and that must be `only` if it is there.
  void require(std::string_view name, uint64_t only, std::string_view reason) const {
    const auto value = find(name);
    if (value && *value != only) {
      throw_user("{}: {} is {}, which is not supported ({})", file_.path().string(), key(name),
                 *value, reason);
    }
  }

 private:
  const io::GgufFile& file_;
  std::string_view prefix_;
};

Json optional_id(const io::GgufFile& file, std::string_view key) {
  const auto id = file.metadata().find_u64(key);
  return id ? Json(*id) : Json();
}

int64_t vocabulary_size(const io::GgufFile& file) {
  const io::GgufTensorInfo& embedding = file.at("token_embd.weight");
  if (embedding.shape.size() != 2) {
    throw_data("{}: token_embd.weight has {} sizes, expected 2", file.path().string(),
               embedding.shape.size());
  }
  return embedding.shape[0];
}

void check_supported(const ArchitectureReader& reader, uint64_t head_dim) {
  reader.require("expert_count", 0, "mixtures of experts are not read");
  reader.require("attention.value_length", head_dim, "keys and values must be of one size");
  reader.require("rope.dimension_count", head_dim, "heads are rotated whole");
  reader.require("attention.sliding_window", 0, "sliding windows are not read");
}

uint64_t head_dim_of(const io::GgufFile& file, const ArchitectureReader& reader, uint64_t hidden,
                     uint64_t heads) {
  if (const auto given = reader.find("attention.key_length")) return *given;
  if (heads == 0 || hidden % heads != 0) {
    throw_data("{}: {} is {}, expected a divisor of {} ({})", file.path().string(),
               reader.key("attention.head_count"), heads, reader.key("embedding_length"), hidden);
  }
  return hidden / heads;
}

}  // namespace

const GgufArchitecture& gguf_architecture(const io::GgufFile& file) {
  const std::string& name = file.metadata().get_string("general.architecture");
  std::string known;
  for (const GgufArchitecture& row : kArchitectures) {
    if (row.name == name) return row;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  throw_user("{}: general.architecture is \"{}\", which is not supported (supported: {})",
             file.path().string(), name, known);
}

Json gguf_config(const io::GgufFile& file, const GgufArchitecture& architecture,
                 at::ScalarType dtype) {
  const ArchitectureReader reader(file, architecture.name);
  const uint64_t hidden = reader.get("embedding_length");
  const uint64_t heads = reader.get("attention.head_count");
  const uint64_t head_dim = head_dim_of(file, reader, hidden, heads);
  const std::string_view dtype_name = dtype_torch_name(ir::to_dtype(dtype));
  check_supported(reader, head_dim);

  Json config;
  config["architectures"] = {architecture.class_name};
  if (architecture.name != "qwen2") {
    config["attention_bias"] = file.find("blk.0.attn_q.bias") != nullptr;
  }
  config["attention_dropout"] = 0.0;
  config["bos_token_id"] = optional_id(file, "tokenizer.ggml.bos_token_id");
  config["dtype"] = dtype_name;
  config["eos_token_id"] = optional_id(file, "tokenizer.ggml.eos_token_id");
  config["head_dim"] = head_dim;
  config["hidden_act"] = "silu";
  config["hidden_size"] = hidden;
  config["initializer_range"] = 0.02;
  config["intermediate_size"] = reader.get("feed_forward_length");
  config["max_position_embeddings"] = reader.get("context_length");
  if (architecture.name == "llama") {
    config["mlp_bias"] = file.find("blk.0.ffn_up.bias") != nullptr;
  }
  config["model_type"] = architecture.name;
  config["num_attention_heads"] = heads;
  config["num_hidden_layers"] = reader.get("block_count");
  config["num_key_value_heads"] = reader.find("attention.head_count_kv").value_or(heads);
  config["pad_token_id"] = optional_id(file, "tokenizer.ggml.padding_token_id");
  config["rms_norm_eps"] =
      shortest_float(file.metadata().get_f64(reader.key("attention.layer_norm_rms_epsilon")));
  add_gguf_rope(file, architecture.name, static_cast<int64_t>(head_dim), config);
  config["tie_word_embeddings"] = file.find("output.weight") == nullptr;
  config["torch_dtype"] = dtype_name;
  config["use_cache"] = true;
  config["vocab_size"] = vocabulary_size(file);
  return config;
}

Json gguf_generation_config(const io::GgufFile& file) {
  Json config;
  config["_from_model_config"] = true;
  for (const auto& [name, key] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                  std::pair{"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    const Json id = optional_id(file, key);
    if (!id.is_null()) config[name] = id;
  }
  return config;
}

}  // namespace lathe::frontends
