// GGUF files: golden/gguf is written by make_gguf.py with the gguf package.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/output_file.h"
#include "checkpoint_fixture.h"
#include "frontends/gguf/gguf_rope.h"
#include "frontends/gguf/gguf_tensors.h"
#include "ir/verify.h"

namespace lathe::frontends {
namespace {

std::filesystem::path gguf_path(const std::string& name) {
  return golden_folder("gguf") / (name + ".gguf");
}

class GgufGolden : public testing::TestWithParam<const char*> {};

TEST_P(GgufGolden, Float32LogitsAreThoseOfTransformers) {
  const OpenedModel opened = open_model(gguf_path(GetParam()), {.dtype = at::kFloat});
  ir::verify_tree(*opened.model.root);
  const auto golden = read_tensors(golden_folder("gguf") / "expected.safetensors");
  const std::string name = GetParam();
  const at::Tensor found = logits_of(opened.model, {{"input_ids", golden.at(name + ".input_ids")}});
  EXPECT_LT(max_error(found, golden.at(name + ".logits")), 1e-4);
}

TEST_P(GgufGolden, BFloat16ValuesAreRoundedFloat32) {
  const OpenedModel exact = open_model(gguf_path(GetParam()), {.dtype = at::kFloat});
  const OpenedModel rounded = open_model(gguf_path(GetParam()));
  EXPECT_EQ(rounded.model.dtype, at::kBFloat16);
  for (const auto& [path, parameter] : ir::named_parameters(*rounded.model.root)) {
    const at::Tensor expected = exact.model.root->find_parameter(path)->tensor().to(at::kBFloat16);
    EXPECT_TRUE(at::equal(parameter->tensor(), expected)) << path;
  }
}

TEST_P(GgufGolden, EveryTensorIsAccountedFor) {
  const OpenedModel opened = open_model(gguf_path(GetParam()));
  for (const ir::SourceTensor& tensor : opened.model.tensors) {
    EXPECT_NE(tensor.path.empty(), tensor.dropped.empty()) << tensor.name;
    EXPECT_EQ(tensor.parameter->dtype(), at::kByte);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgufGolden, testing::Values("llama", "llama3", "qwen2", "qwen3"));

TEST(Gguf, ConfigIsThatOfTransformers) {
  const OpenedModel opened = open_model(gguf_path("llama"));
  const nlohmann::ordered_json& config = opened.model.config;
  EXPECT_EQ(config.at("architectures"), nlohmann::ordered_json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(config.at("model_type"), "llama");
  EXPECT_EQ(config.at("hidden_size"), 32);
  EXPECT_EQ(config.at("head_dim"), 8);
  EXPECT_EQ(config.at("num_key_value_heads"), 2);
  EXPECT_EQ(config.at("rms_norm_eps"), 1e-5);
  EXPECT_EQ(config.at("rope_theta"), 20000.0);
  EXPECT_EQ(config.at("rope_parameters").at("rope_theta"), 20000.0);
  EXPECT_EQ(config.at("rope_parameters").at("rope_type"), "default");
  EXPECT_EQ(config.at("bos_token_id"), 1);
  EXPECT_EQ(config.at("eos_token_id"), 2);
  EXPECT_EQ(config.at("vocab_size"), 40);
  EXPECT_EQ(config.at("tie_word_embeddings"), true);
  EXPECT_EQ(config.at("dtype"), "bfloat16");
  ASSERT_EQ(opened.model.files.size(), 1u);
  EXPECT_EQ(opened.model.files[0].name, "generation_config.json");
  expect_contains(opened.model.files[0].contents, "\"eos_token_id\": 2");
  EXPECT_EQ(opened.model.vocab_size, 40);
  EXPECT_EQ(opened.model.tied.size(), 1u);
}

TEST(Gguf, DivisorsBecomeLlama3Settings) {
  const OpenedModel opened = open_model(gguf_path("llama3"));
  const nlohmann::ordered_json& rope = opened.model.config.at("rope_parameters");
  EXPECT_EQ(rope.at("rope_type"), "llama3");
  EXPECT_EQ(rope.at("factor"), 8.0);
  EXPECT_EQ(rope.at("low_freq_factor"), 1.0);
  EXPECT_EQ(rope.at("high_freq_factor"), 4.0);
  EXPECT_EQ(rope.at("original_max_position_embeddings"), 8192);
  EXPECT_EQ(opened.model.config.at("rope_scaling").at("rope_type"), "llama3");
}

TEST(Gguf, VocabularyIsHandedOut) {
  const OpenedModel opened = open_model(gguf_path("llama"));
  ASSERT_TRUE(opened.vocabulary.has_value());
  const GgufVocabulary& vocabulary = *opened.vocabulary;
  EXPECT_EQ(vocabulary.model, "gpt2");
  EXPECT_EQ(vocabulary.pre, "smollm");
  EXPECT_EQ(vocabulary.tokens.size(), 40u);
  EXPECT_EQ(vocabulary.tokens[7], "t7");
  EXPECT_EQ(vocabulary.token_types[0], 3);
  EXPECT_EQ(vocabulary.merges, (std::vector<std::string>{"t 1", "t 2"}));
  EXPECT_EQ(vocabulary.bos_id, 1);
  EXPECT_EQ(vocabulary.eos_id, 2);
  EXPECT_FALSE(vocabulary.pad_id.has_value());
  EXPECT_EQ(vocabulary.add_bos, true);
  EXPECT_EQ(vocabulary.chat_template, "{{ messages }}");
}

TEST(Gguf, NamesAreThoseOfHuggingFace) {
  EXPECT_EQ(huggingface_name("blk.12.attn_q.weight"), "model.layers.12.self_attn.q_proj.weight");
  EXPECT_EQ(huggingface_name("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(huggingface_name("blk.x.attn_q.weight"), "blk.x.attn_q.weight");
  EXPECT_EQ(huggingface_name("blk..attn_q.weight"), "blk..attn_q.weight");
  EXPECT_EQ(huggingface_name("blk.1"), "blk.1");
  EXPECT_EQ(huggingface_name("blk.1.ffn_gate_exps.weight"), "blk.1.ffn_gate_exps.weight");
  EXPECT_EQ(huggingface_name("plain"), "plain");
}

TEST(Gguf, FloatsAreWrittenShort) {
  EXPECT_EQ(shortest_float(static_cast<double>(1e-5f)), 1e-5);
  EXPECT_EQ(shortest_float(static_cast<double>(500000.0f)), 500000.0);
  EXPECT_EQ(shortest_float(static_cast<double>(0.1f)), 0.1);
}

/// Opens the llama file with one piece of its bytes replaced by another of the same length.
std::string changed_error(ErrorKind kind, std::string file, const std::string& from,
                          const std::string& to) {
  const size_t place = file.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  EXPECT_EQ(from.size(), to.size());
  file.replace(place, from.size(), to);
  const TemporaryFolder folder;
  write_file(folder.path() / "model.gguf", file);
  return error_of(kind, [&] { open_model(folder.path() / "model.gguf"); });
}

/// A key and the value of type uint32 behind it.
std::string key_value(const std::string& key, uint32_t value) {
  const uint32_t type = 4;
  std::string text = key;
  text.append(reinterpret_cast<const char*>(&type), sizeof(type));
  text.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return text;
}

TEST(Gguf, UnknownArchitectureIsNamed) {
  const std::string file = read_file(gguf_path("llama"));
  // The value of general.architecture: its length (8 bytes) and text.
  const std::string length("\x05\0\0\0\0\0\0\0", 8);
  expect_contains(changed_error(ErrorKind::kUser, file, length + "llama", length + "mamba"),
                  "general.architecture is \"mamba\", which is not supported (supported: llama");
}

TEST(Gguf, ContradictionsAreNamed) {
  const std::string file = read_file(gguf_path("llama"));
  const auto change = [&](ErrorKind kind, const char* key, uint32_t from, uint32_t to) {
    return changed_error(kind, file, key_value(key, from), key_value(key, to));
  };
  expect_contains(change(ErrorKind::kData, "llama.block_count", 2, 3),
                  "model.layers.2.self_attn.q_proj.weight is missing");
  expect_contains(change(ErrorKind::kData, "llama.block_count", 2, 0),
                  "\"num_hidden_layers\" must be a positive integer");
  expect_contains(change(ErrorKind::kData, "llama.attention.head_count", 4, 0),
                  "llama.attention.head_count is 0");
  expect_contains(change(ErrorKind::kData, "llama.attention.head_count_kv", 2, 3),
                  "\"num_key_value_heads\" must be a divisor");
  expect_contains(change(ErrorKind::kData, "llama.feed_forward_length", 64, 96),
                  "mlp.up_proj.weight is [64, 32], expected [96, 32]");
  expect_contains(change(ErrorKind::kUser, "llama.rope.dimension_count", 8, 4),
                  "llama.rope.dimension_count is 4, which is not supported");
}

TEST(Gguf, StrangeTensorsAreNamed) {
  const std::string file = read_file(gguf_path("llama"));
  expect_contains(
      changed_error(ErrorKind::kData, file, "blk.1.ffn_up.weight", "blk.1.ffn_xx.weight"),
      "blk.1.ffn_xx.weight [64, 32] belongs to no parameter");
  expect_contains(
      changed_error(ErrorKind::kData, file, "blk.1.ffn_up.weight", "blk.1.ffn_up.weighs"),
      "model.layers.1.mlp.up_proj.weight is missing");
  expect_contains(changed_error(ErrorKind::kData, file, "token_embd.weight", "token_emba.weight"),
                  "token_embd.weight");
}

TEST(Gguf, OtherDivisorsAreRefused) {
  std::string file = read_file(gguf_path("llama3"));
  const auto bytes_of = [](float value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  // rope_freqs.weight is the last tensor of the file; its last number is the factor, 8.
  const size_t place = file.rfind(bytes_of(8.0f));
  ASSERT_NE(place, std::string::npos);
  file.replace(place, sizeof(float), bytes_of(3.5f));
  const TemporaryFolder folder;
  write_file(folder.path() / "model.gguf", file);
  expect_contains(error_of(ErrorKind::kUser, [&] { open_model(folder.path() / "model.gguf"); }),
                  "rope_freqs.weight is not that of llama3 scaling");
}

TEST(Gguf, TruncatedFileIsADataError) {
  const std::string file = read_file(gguf_path("llama"));
  const TemporaryFolder folder;
  for (size_t length : {size_t{0}, size_t{10}, size_t{300}, file.size() / 2, file.size() - 1}) {
    write_file(folder.path() / "model.gguf", file.substr(0, length));
    error_of(ErrorKind::kData, [&] { open_model(folder.path() / "model.gguf"); });
  }
}

}  // namespace
}  // namespace lathe::frontends
