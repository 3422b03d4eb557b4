// Checkpoints of architectures that have no builder: a tree by names.
#include "frontends/generic_tree.h"

#include <gtest/gtest.h>

#include "checkpoint_fixture.h"

namespace lathe::frontends {
namespace {

/// A model of the reference under the name of an architecture that nobody knows.
TestCheckpoint novel(const std::string& name) {
  TestCheckpoint checkpoint = TestCheckpoint::read(reference_folder("hf/" + name));
  checkpoint.config["architectures"] = {"NovelForCausalLM"};
  checkpoint.config["model_type"] = "novel";
  return checkpoint;
}

TEST(Generic, UnknownArchitectureHasATreeWithoutGraph) {
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(novel("gemma2"), folder);
  const ir::Model& model = opened.model;
  EXPECT_EQ(model.architecture, "");
  EXPECT_FALSE(model.has_graph());
  EXPECT_EQ(model.config.at("model_type"), "novel");
  EXPECT_EQ(model.vocab_size, 256);
  EXPECT_EQ(model.dtype, at::kBFloat16);
  EXPECT_EQ(model.root->at("model.embed_tokens").type, "Embedding");
  EXPECT_EQ(model.root->at("model.layers.1.self_attn.q_proj").type, "Linear");
  EXPECT_EQ(model.root->at("model.layers.1.input_layernorm").type, "Parameters");
  EXPECT_EQ(model.root->at("model.layers").type, "Parameters");
  EXPECT_EQ(ir::named_parameters(*model.root).size(), model.tensors.size());
  for (const ir::SourceTensor& tensor : model.tensors) EXPECT_EQ(tensor.path, tensor.name);
}

TEST(Generic, GroupsByName) {
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(novel("gemma2"), folder);
  const auto groups = name_groups(opened.model);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0], (std::vector<std::string>{"model.layers.0.mlp.gate_proj",
                                                 "model.layers.0.mlp.up_proj"}));
  EXPECT_EQ(groups[1], (std::vector<std::string>{"model.layers.0.self_attn.q_proj",
                                                 "model.layers.0.self_attn.k_proj",
                                                 "model.layers.0.self_attn.v_proj"}));
}

TEST(Generic, ExpertsAreGroupsOfTheirOwn) {
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(novel("mixtral"), folder);
  size_t pairs = 0;
  for (const auto& group : name_groups(opened.model)) {
    if (group.front().ends_with(".w1")) {
      EXPECT_EQ(group.size(), 2u);
      EXPECT_TRUE(group.back().ends_with(".w3"));
      ++pairs;
    }
  }
  EXPECT_EQ(pairs, 8u);
}

TEST(Generic, EveryReferenceArchitectureOpens) {
  for (const auto& entry : std::filesystem::directory_iterator(reference_folder("hf"))) {
    SCOPED_TRACE(entry.path().string());
    const OpenedModel opened = open_model(entry.path());
    EXPECT_FALSE(opened.model.tensors.empty());
  }
}

TEST(Generic, FolderWithoutConfigOpens) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_gelu"));
  checkpoint.config = nullptr;
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_FALSE(opened.model.has_graph());
  EXPECT_TRUE(opened.model.config.empty());
  EXPECT_EQ(opened.model.vocab_size, 0);
}

TEST(Generic, OtherClassOfAKnownModelTypeHasNoGraph) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_gelu"));
  checkpoint.config["architectures"] = {"LlamaForSequenceClassification"};
  const TemporaryFolder folder;
  EXPECT_FALSE(open_checkpoint(checkpoint, folder).model.has_graph());
}

TEST(Generic, ModelTypeAloneIsEnough) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_gelu"));
  checkpoint.config.erase("architectures");
  const TemporaryFolder folder;
  EXPECT_EQ(open_checkpoint(checkpoint, folder).model.architecture, "LlamaForCausalLM");
}

TEST(Generic, TransposedWeightsOfGpt2AreNoLinears) {
  TestCheckpoint checkpoint = TestCheckpoint::read(reference_folder("hf/gpt2"));
  checkpoint.config["architectures"] = {"GPT2DoubleHeadsModel"};
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_FALSE(opened.model.has_graph());
  EXPECT_EQ(opened.model.root->at("transformer.h.0.attn.c_attn").type, "Conv1D");
  EXPECT_EQ(opened.model.root->at("transformer.wte").type, "Embedding");
}

TEST(Generic, DtypeIsConvertedOnlyOnRequest) {
  TestCheckpoint checkpoint = novel("gemma2");
  checkpoint.add("extra.counts", DType::kI64, {3});
  checkpoint.add("extra.bias", DType::kF32, {3});
  const TemporaryFolder folder;
  const OpenedModel kept = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(kept.model.root->find_parameter("extra.bias")->dtype(), at::kFloat);
  const OpenedModel converted = open_model(folder.path(), {.dtype = at::kBFloat16});
  EXPECT_EQ(converted.model.root->find_parameter("extra.bias")->dtype(), at::kBFloat16);
  EXPECT_EQ(converted.model.root->find_parameter("extra.counts")->dtype(), at::kLong);
}

std::string name_error(const std::string& name) {
  TestCheckpoint checkpoint;
  checkpoint.add(name, DType::kF32, {1});
  return open_error(ErrorKind::kData, checkpoint);
}

TEST(Generic, HostileNamesAreRefused) {
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  expect_contains(name_error(deep), "1 to 64 non-empty parts");
  expect_contains(name_error("a..b"), "found \"a..b\"");
  expect_contains(name_error("a."), "non-empty parts");
  expect_contains(name_error(""), "non-empty parts");
}

TEST(Generic, ManyNamesInOnePlace) {
  TestCheckpoint checkpoint;
  constexpr int kCount = 20000;
  for (int i = 0; i < kCount; ++i) {
    checkpoint.tensors.push_back({"a." + std::to_string(i), DType::kF32, {0}, {}});
    checkpoint.tensors.push_back({std::to_string(i) + ".weight", DType::kF32, {0}, {}});
  }
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(opened.model.root->at("a").parameters.size(), kCount);
  EXPECT_EQ(opened.model.root->children.size(), kCount + 1u);
  EXPECT_NE(opened.model.root->find_parameter("a.19999"), nullptr);
  EXPECT_NE(opened.model.root->find_parameter("19999.weight"), nullptr);
}

}  // namespace
}  // namespace lathe::frontends
