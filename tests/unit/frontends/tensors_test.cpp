// Tensors that do not fit the config: all of them are listed at once.
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"

namespace lathe::frontends {
namespace {

TestCheckpoint golden() { return TestCheckpoint::read(golden_folder("llama_options")); }

TEST(Tensors, EveryProblemIsListedAtOnce) {
  TestCheckpoint checkpoint = golden();
  checkpoint.erase("model.layers.0.self_attn.q_proj.weight");
  checkpoint.erase("lm_head.weight");
  checkpoint.reshape("model.layers.1.mlp.up_proj.weight", {32, 48});
  checkpoint.add("model.layers.2.mlp.up_proj.weight", DType::kBF16, {48, 32});
  checkpoint.at("model.norm.weight").dtype = DType::kI16;
  const std::string message = open_error(ErrorKind::kData, checkpoint);
  expect_contains(message, "the tensors do not fit the config:");
  expect_contains(message, "model.layers.0.self_attn.q_proj.weight is missing, expected [64, 32]");
  expect_contains(message, "lm_head.weight is missing, expected [48, 32]");
  expect_contains(
      message,
      "model.safetensors: model.layers.1.mlp.up_proj.weight is [32, 48], expected [48, 32]");
  expect_contains(
      message,
      "model.safetensors: model.layers.2.mlp.up_proj.weight [48, 32] belongs to no parameter");
  expect_contains(message, "model.norm.weight has dtype Short, expected floating point");
}

TEST(Tensors, RankCounts) {
  TestCheckpoint checkpoint = golden();
  checkpoint.reshape("model.norm.weight", {1, 32});
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "model.norm.weight is [1, 32], expected [32]");
  checkpoint.reshape("model.norm.weight", {});
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "model.norm.weight is [], expected [32]");
}

TEST(Tensors, ConfigThatContradictsThemIsFound) {
  TestCheckpoint checkpoint = golden();
  checkpoint.config["hidden_size"] = 64;
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "model.embed_tokens.weight is [48, 32], expected [48, 64]");
}

TEST(Tensors, BiasesFollowTheConfig) {
  TestCheckpoint checkpoint = golden();
  checkpoint.config["attention_bias"] = false;
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "model.layers.0.self_attn.q_proj.bias [64] belongs to no parameter");
}

TEST(Tensors, LongListsAreCut) {
  TestCheckpoint checkpoint = golden();
  for (int i = 0; i < 100; ++i) {
    checkpoint.add("extra." + std::to_string(i), DType::kF32, {1});
  }
  expect_contains(open_error(ErrorKind::kData, checkpoint), "and 50 more");
}

TEST(Tensors, OldFrequenciesAreDropped) {
  TestCheckpoint checkpoint = golden();
  const std::string name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  checkpoint.add(name, DType::kF32, {8});
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  size_t dropped = 0;
  for (const ir::SourceTensor& tensor : opened.model.tensors) {
    EXPECT_NE(tensor.path.empty(), tensor.dropped.empty()) << tensor.name;
    if (tensor.dropped.empty()) continue;
    EXPECT_EQ(tensor.name, name);
    EXPECT_EQ(tensor.dropped, "computed from the config");
    ++dropped;
  }
  EXPECT_EQ(dropped, 1u);
}

TEST(Tensors, BrokenFileIsNamed) {
  TestCheckpoint checkpoint = golden();
  const TemporaryFolder folder;
  checkpoint.write(folder.path());
  std::filesystem::resize_file(folder.path() / "model.safetensors", 5000);
  expect_contains(error_of(ErrorKind::kData, [&] { open_model(folder.path()); }),
                  "model.safetensors");
}

TEST(Tensors, FusedExpertsMustFitTheConfig) {
  TestCheckpoint checkpoint = TestCheckpoint::read(reference_folder("variants/qwen3_moe_fused"));
  checkpoint.reshape("model.layers.0.mlp.experts.gate_up_proj", {4, 16, 32});
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "model.layers.0.mlp.experts.gate_up_proj is [4, 16, 32], expected [4, 32, 32]");
}

TEST(Tensors, PackedExpertsMustFitTheConfig) {
  const auto packed = [] {
    return TestCheckpoint::read(reference_folder("variants/gpt_oss_mxfp4"));
  };
  const std::string experts = "model.layers.0.mlp.experts.";
  TestCheckpoint checkpoint = packed();
  checkpoint.erase(experts + "down_proj_scales");
  expect_contains(open_error(ErrorKind::kData, checkpoint), "down_proj_scales is missing");
  checkpoint = packed();
  checkpoint.reshape(experts + "gate_up_proj_blocks", {2, 64, 1, 8});
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "is [2, 64, 1, 8], expected [experts, rows, blocks, 16]");
  checkpoint = packed();
  checkpoint.reshape(experts + "gate_up_proj_blocks", {2, 32, 1, 16});
  checkpoint.reshape(experts + "gate_up_proj_scales", {2, 32, 1});
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "experts.0.gate_up_proj.weight is [32, 32], expected [64, 32]");
  checkpoint = packed();
  checkpoint.at(experts + "down_proj_scales").dtype = DType::kI8;
  expect_contains(open_error(ErrorKind::kData, checkpoint), "expected uint8");
}

TEST(Tensors, EveryPartOfAFusedTensorIsInTheBooks) {
  for (const char* name : {"qwen3_moe_fused", "mixtral_fused", "gpt_oss_options", "gpt_oss_mxfp4",
                           "deepseek_v3_bias", "bert_old_norms", "gpt2_unscaled"}) {
    SCOPED_TRACE(name);
    const OpenedModel opened = open_model(reference_folder(std::string("variants/") + name));
    for (const ir::SourceTensor& tensor : opened.model.tensors) {
      SCOPED_TRACE(tensor.name);
      EXPECT_NE(tensor.path.empty(), tensor.dropped.empty());
      if (!tensor.path.empty()) {
        EXPECT_NE(opened.model.root->find_parameter(tensor.path), nullptr) << tensor.path;
      }
    }
  }
}

}  // namespace
}  // namespace lathe::frontends
