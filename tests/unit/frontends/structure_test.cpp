// The tree, its graphs and the fields of the model.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "base/output_file.h"
#include "checkpoint_fixture.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace lathe::frontends {
namespace {

TestCheckpoint golden(const char* name) { return TestCheckpoint::read(golden_folder(name)); }

TEST(Structure, ModulesAreThoseOfTransformers) {
  const OpenedModel opened = open_model(reference_folder("hf/qwen3"));
  const ir::Module& root = *opened.model.root;
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"", "Qwen3ForCausalLM"},
      {"model", "Qwen3Model"},
      {"model.embed_tokens", "Embedding"},
      {"model.layers", "ModuleList"},
      {"model.layers.0", "Qwen3DecoderLayer"},
      {"model.layers.0.self_attn", "Qwen3Attention"},
      {"model.layers.0.self_attn.q_proj", "Linear"},
      {"model.layers.0.self_attn.k_proj", "Linear"},
      {"model.layers.0.self_attn.v_proj", "Linear"},
      {"model.layers.0.self_attn.o_proj", "Linear"},
      {"model.layers.0.self_attn.q_norm", "RMSNorm"},
      {"model.layers.0.self_attn.k_norm", "RMSNorm"},
      {"model.layers.0.mlp", "Qwen3MLP"},
      {"model.layers.0.mlp.gate_proj", "Linear"},
      {"model.layers.0.mlp.up_proj", "Linear"},
      {"model.layers.0.mlp.down_proj", "Linear"},
      {"model.layers.0.mlp.act_fn", "SiLU"},
      {"model.layers.0.input_layernorm", "RMSNorm"},
      {"model.layers.0.post_attention_layernorm", "RMSNorm"},
  };
  const auto modules = ir::named_modules(root);
  ASSERT_GE(modules.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(modules[i].first, expected[i].first);
    EXPECT_EQ(modules[i].second->type, expected[i].second);
  }
  EXPECT_EQ(root.at("model.norm").type, "RMSNorm");
  EXPECT_EQ(root.at("model.rotary_emb").type, "RotaryEmbedding");
  EXPECT_EQ(root.at("lm_head").type, "Linear");
  EXPECT_EQ(root.at("model.layers.1.self_attn").int_attribute("num_key_value_heads"), 2);
}

TEST(Structure, EachExpertHasLinears) {
  for (const char* name : {"variants/qwen3_moe_fused", "hf/qwen3_moe"}) {
    const OpenedModel opened = open_model(reference_folder(name));
    const ir::Module& block = opened.model.root->at("model.layers.1.mlp");
    EXPECT_EQ(block.type, "Qwen3MoeSparseMoeBlock");
    EXPECT_EQ(block.at("gate").type, "Linear");
    EXPECT_EQ(block.at("topk").type, "TopKRouter");
    EXPECT_EQ(block.at("experts.3").type, "Qwen3MoeMLP");
    EXPECT_EQ(block.at("experts.0").graph, block.at("experts.3").graph);
    for (const char* linear : {"gate_proj", "up_proj", "down_proj"}) {
      EXPECT_EQ(block.at("experts.2").at(linear).type, "Linear");
    }
  }
  const OpenedModel oss = open_model(reference_folder("hf/gpt_oss"));
  EXPECT_EQ(oss.model.root->at("model.layers.0.mlp.experts.1.gate_up_proj").type, "Linear");
}

TEST(Structure, LayersBehindTheLastAreKept) {
  const OpenedModel opened = open_model(reference_folder("variants/deepseek_v3_bias"));
  const ir::Module& more = opened.model.root->at("model.layers.2");
  EXPECT_FALSE(more.is_composite());
  EXPECT_NE(more.find_parameter("eh_proj.weight"), nullptr);
  EXPECT_NE(more.find_parameter("mlp.experts.0.up_proj.weight"), nullptr);
}

TEST(Structure, LayersOfAKindShareTheirGraphs) {
  const OpenedModel opened = open_model(golden_folder("qwen2_window"));
  const ir::Module& full = opened.model.root->at("model.layers.0");
  const ir::Module& sliding = opened.model.root->at("model.layers.1");
  EXPECT_EQ(full.graph, sliding.graph);
  EXPECT_EQ(full.at("mlp").graph, sliding.at("mlp").graph);
  EXPECT_NE(full.at("self_attn").graph, sliding.at("self_attn").graph);
  EXPECT_FALSE(full.at("self_attn").has_attribute("sliding_window"));
  EXPECT_EQ(sliding.at("self_attn").int_attribute("sliding_window"), 5);
  const OpenedModel llama = open_model(golden_folder("llama_options"));
  EXPECT_EQ(llama.model.root->at("model.layers.0.self_attn").graph,
            llama.model.root->at("model.layers.1.self_attn").graph);
}

TEST(Structure, OnlyDecoderLayersAreBlocks) {
  const OpenedModel opened = open_model(golden_folder("llama_options"));
  std::set<std::string> blocks;
  for (const auto& [path, module] : ir::named_modules(*opened.model.root)) {
    if (module->is_block) blocks.insert(path);
  }
  EXPECT_EQ(blocks, (std::set<std::string>{"model.layers.0", "model.layers.1"}));
}

TEST(Structure, TextFormReadsBack) {
  const OpenedModel opened = open_model(golden_folder("llama_options"));
  const std::string text = ir::print(*opened.model.root);
  const ir::ModulePtr parsed = ir::parse_module(text);
  EXPECT_EQ(ir::print(*parsed), text);
  ir::verify_tree(*parsed);
}

TEST(Structure, InputsAndOutputs) {
  const OpenedModel opened = open_model(golden_folder("llama_options"));
  const std::vector<std::pair<std::string, bool>> expected = {{"input_ids", true},
                                                              {"attention_mask", false}};
  EXPECT_EQ(ops::model_inputs(*opened.model.root), expected);
  EXPECT_EQ(opened.model.root->graph->output()->kwargs.at(0).first, "logits");
}

TEST(Structure, FieldsOfTheModel) {
  const OpenedModel opened = open_model(reference_folder("hf/llama"));
  const ir::Model& model = opened.model;
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.dtype, at::kBFloat16);
  EXPECT_EQ(model.vocab_size, 256);
  EXPECT_TRUE(model.has_graph());
  EXPECT_FALSE(opened.quantization.has_value());
  EXPECT_FALSE(opened.vocabulary.has_value());
  EXPECT_EQ(model.config.at("model_type"), "llama");
  for (const ir::SourceTensor& tensor : model.tensors) {
    EXPECT_EQ(tensor.path, tensor.name);
    EXPECT_EQ(tensor.dropped, "");
    EXPECT_EQ(tensor.parameter->dtype(), at::kBFloat16);
  }
  EXPECT_EQ(model.tensors.size(), 20u);
}

TEST(Structure, OpeningReadsNoTensor) {
  const OpenedModel opened = open_model(reference_folder("hf/mistral"));
  for (const auto& [path, parameter] : ir::named_parameters(*opened.model.root)) {
    EXPECT_FALSE(parameter->is_loaded()) << path;
  }
}

TEST(Structure, WeightsAreNotCopiedInTheirOwnDtype) {
  const OpenedModel opened = open_model(reference_folder("hf/mistral"));
  const ir::ParameterPtr parameter = opened.model.root->find_parameter("lm_head.weight");
  const void* first = parameter->tensor().const_data_ptr();
  parameter->release();
  EXPECT_EQ(parameter->tensor().const_data_ptr(), first);
}

TEST(Structure, OtherDtypeIsConvertedWhenRead) {
  const OpenedModel opened = open_model(reference_folder("hf/mistral"), {.dtype = at::kFloat});
  EXPECT_EQ(opened.model.dtype, at::kFloat);
  const ir::ParameterPtr parameter = opened.model.root->find_parameter("lm_head.weight");
  EXPECT_EQ(parameter->dtype(), at::kFloat);
  const ir::SourceTensor& source = opened.model.tensors.front();
  EXPECT_EQ(source.parameter->dtype(), at::kBFloat16);
  const at::Tensor converted = opened.model.root->find_parameter(source.name)->tensor();
  EXPECT_TRUE(at::equal(converted, source.parameter->tensor().to(at::kFloat)));
}

TEST(Structure, Float16CannotBeAskedFor) {
  expect_contains(error_of(ErrorKind::kUser,
                           [] { open_model(reference_folder("hf/llama"), {.dtype = at::kHalf}); }),
                  "float32 or bfloat16");
}

TEST(Structure, TiedHeadIsOneParameter) {
  const OpenedModel opened = open_model(golden_folder("llama_gelu"));
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"lm_head.weight", "model.embed_tokens.weight"}};
  EXPECT_EQ(opened.model.tied, expected);
  EXPECT_EQ(opened.model.root->find_parameter("lm_head.weight"),
            opened.model.root->find_parameter("model.embed_tokens.weight"));
  EXPECT_EQ(opened.model.root->at("model.layers.0.mlp.act_fn").type, "GELU");
}

TEST(Structure, TiedHeadThatIsInTheFileTooIsDropped) {
  TestCheckpoint checkpoint = golden("llama_gelu");
  TestCheckpoint::Tensor head = checkpoint.at("model.embed_tokens.weight");
  head.name = "lm_head.weight";
  checkpoint.tensors.push_back(head);
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(opened.model.tied.size(), 1u);
  for (const ir::SourceTensor& tensor : opened.model.tensors) {
    if (tensor.name != "lm_head.weight") continue;
    EXPECT_EQ(tensor.dropped, "equal to model.embed_tokens.weight, to which it is tied");
  }
}

TEST(Structure, TiedHeadMayStandForTheEmbedding) {
  TestCheckpoint checkpoint = golden("llama_gelu");
  checkpoint.rename("model.embed_tokens.weight", "lm_head.weight");
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(opened.model.tied.size(), 1u);
  const auto expected = read_tensors(golden_folder("llama_gelu") / "expected.safetensors");
  EXPECT_LT(max_error(logits_of(opened.model, {{"input_ids", expected.at("input_ids")}}),
                      expected.at("logits")),
            0.05);
}

TEST(Structure, DifferentHeadIsNotTied) {
  TestCheckpoint checkpoint = golden("llama_gelu");
  const auto shape = checkpoint.at("model.embed_tokens.weight").shape;
  checkpoint.add("lm_head.weight", DType::kBF16, shape);
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_TRUE(opened.model.tied.empty());
  EXPECT_EQ(opened.model.config.at("tie_word_embeddings"), false);
  EXPECT_NE(opened.model.root->find_parameter("lm_head.weight"),
            opened.model.root->find_parameter("model.embed_tokens.weight"));
}

TEST(Structure, FilesThatGoWithTheModelAreFound) {
  const TemporaryFolder folder;
  golden("llama_gelu").write(folder.path());
  for (const char* name : {"tokenizer.json", "generation_config.json", "chat_template.jinja",
                           "README.md", "modeling_x.py"}) {
    write_file(folder.path() / name, "x");
  }
  const OpenedModel opened = open_model(folder.path());
  std::vector<std::string> names;
  for (const ir::AuxiliaryFile& file : opened.model.files) names.push_back(file.name);
  EXPECT_EQ(names, (std::vector<std::string>{"chat_template.jinja", "generation_config.json",
                                             "modeling_x.py", "tokenizer.json"}));
  EXPECT_EQ(opened.model.files[0].source, folder.path() / "chat_template.jinja");
}

TEST(Structure, MisalignedTensorsAreCopied) {
  TestCheckpoint checkpoint = golden("llama_gelu");
  const TemporaryFolder folder;
  checkpoint.write(folder.path());
  const auto path = folder.path() / "model.safetensors";
  std::string file = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  const std::string padding = " ";
  length += padding.size();
  std::memcpy(file.data(), &length, sizeof(length));
  file.insert(sizeof(length) + length - padding.size(), padding);
  write_file(path, file);
  const OpenedModel opened = open_model(folder.path(), {.dtype = at::kFloat});
  const auto expected = read_tensors(golden_folder("llama_gelu") / "expected.safetensors");
  EXPECT_LT(max_error(logits_of(opened.model, {{"input_ids", expected.at("input_ids")}}),
                      expected.at("logits")),
            1e-4);
}

TEST(Structure, OtherPathsAreNamed) {
  expect_contains(error_of(ErrorKind::kUser, [] { open_model("/nonexistent/model"); }),
                  "no such file or folder");
  const TemporaryFolder folder;
  write_file(folder.path() / "model.onnx", "x");
  const auto message =
      error_of(ErrorKind::kUser, [&] { open_model(folder.path() / "model.onnx"); });
  expect_contains(message, "model.onnx: not a model that this build reads: a folder with");
  expect_contains(error_of(ErrorKind::kUser, [&] { open_model(folder.path()); }),
                  "has no *.safetensors");
  write_file(folder.path() / "model.gguf", "x");
  expect_contains(error_of(ErrorKind::kUser, [&] { open_model(folder.path()); }),
                  "give the path of the .gguf file");
}

}  // namespace
}  // namespace lathe::frontends
