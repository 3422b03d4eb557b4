// config.json with values that are wrong or not supported: each is named.
#include <gtest/gtest.h>

#include "base/output_file.h"
#include "checkpoint_fixture.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

/// What opening a golden model with one more or other key in its config.json throws.
std::string config_error(ErrorKind kind, const char* model, const char* key, const Json& value) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder(model));
  checkpoint.config[key] = value;
  return open_error(kind, checkpoint);
}

std::string llama_data_error(const char* key, const Json& value) {
  return config_error(ErrorKind::kData, "llama_options", key, value);
}

TEST(ConfigErrors, SizesMustBePositiveIntegers) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "num_key_value_heads", "head_dim"}) {
    for (const Json& value : {Json(0), Json(-4), Json("4"), Json(4.5), Json(true),
                              Json(Json::array({4})), Json(int64_t{1} << 40), Json(~uint64_t{0})}) {
      SCOPED_TRACE(std::string(key) + " = " + value.dump());
      const std::string message = llama_data_error(key, value);
      expect_contains(message,
                      "config.json: \"" + std::string(key) + "\" must be a positive integer");
      expect_contains(message, "found " + value.dump());
    }
  }
}

TEST(ConfigErrors, RequiredKeysAreNamed) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_options"));
    checkpoint.config.erase(key);
    expect_contains(
        open_error(ErrorKind::kData, checkpoint),
        "\"" + std::string(key) + "\" must be a positive integer below 2^31, found nothing");
  }
}

TEST(ConfigErrors, HeadsMustFit) {
  expect_contains(llama_data_error("num_key_value_heads", 3),
                  "\"num_key_value_heads\" must be a divisor of num_attention_heads (4), found 3");
  expect_contains(llama_data_error("head_dim", 7), "even size");
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_gelu"));
  checkpoint.config["head_dim"] = nullptr;
  checkpoint.config["num_attention_heads"] = 5;
  checkpoint.config["num_key_value_heads"] = 5;
  expect_contains(open_error(ErrorKind::kData, checkpoint),
                  "a divisor of hidden_size (32), found 5");
}

TEST(ConfigErrors, MoreLayersThanTensorsIsFoundAtOnce) {
  expect_contains(llama_data_error("num_hidden_layers", 60000),
                  "num_hidden_layers is 60000, but there are only");
  expect_contains(llama_data_error("num_hidden_layers", 2000000000), "at most 65536");
}

TEST(ConfigErrors, NumbersAndFlags) {
  expect_contains(llama_data_error("rms_norm_eps", -1e-5), "a finite number above 0, found -1e-05");
  expect_contains(llama_data_error("rms_norm_eps", "small"), "found \"small\"");
  expect_contains(llama_data_error("tie_word_embeddings", 1), "true or false, found 1");
  expect_contains(llama_data_error("attention_bias", "yes"),
                  "\"attention_bias\" must be true or false");
  expect_contains(llama_data_error("dtype", "int8"), "\"dtype\" must be a floating-point dtype");
  expect_contains(llama_data_error("dtype", "float99"), "found \"float99\"");
  expect_contains(llama_data_error("architectures", "LlamaForCausalLM"), "a list of strings");
}

TEST(ConfigErrors, UnsupportedOptionsAreNamed) {
  expect_contains(config_error(ErrorKind::kUser, "llama_options", "hidden_act", "xielu"),
                  "\"hidden_act\" is \"xielu\", which is not supported (supported: silu");
  expect_contains(config_error(ErrorKind::kUser, "llama_options", "rope_parameters",
                               {{"rope_type", "mrope"}, {"factor", 2.0}, {"rope_theta", 10000.0}}),
                  "\"rope_parameters.rope_type\" is \"mrope\", which is not supported");
  expect_contains(config_error(ErrorKind::kUser, "qwen2_window", "layer_types",
                               {"full_attention", "chunked_attention"}),
                  "\"layer_types\" is");
  expect_contains(config_error(ErrorKind::kUser, "mistral_window", "layer_types",
                               {"full_attention", "sliding_attention"}),
                  "\"layer_types\" is");
  expect_contains(config_error(ErrorKind::kUser, "llama_options", "quantization_config",
                               {{"quant_method", "hqq"}, {"bits", 4}}),
                  "\"quantization_config.quant_method\" is \"hqq\", which is not supported");
}

struct Refusal {
  const char* model;  // of the reference
  const char* key;
  Json value;
  const char* says;
};

TEST(ConfigErrors, OptionsOfArchitecturesAreRefusedByName) {
  const Refusal refusals[] = {
      {"gemma2", "use_bidirectional_attention", true, "attention is causal"},
      {"gemma3_text", "use_bidirectional_attention", true, "attention is causal"},
      {"gemma3_text", "hidden_activation", "xielu", "supported: silu"},
      {"gemma2",
       "layer_types",
       {"full_attention", "linear_attention"},
       "supported: full_attention"},
      {"phi3", "layer_types", {"full_attention", "full_attention"}, "all of one type"},
      {"phi3", "rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}, "default and longrope"},
      {"starcoder2", "layer_types", {"full_attention", "full_attention"}, "all of one type"},
      {"qwen3", "partial_rotary_factor", 0.5, "rotated whole"},
      {"deepseek_v3", "topk_method", "greedy", "supported: noaux_tc"},
      {"deepseek_v3", "scoring_func", "softmax", "supported: sigmoid"},
      {"deepseek_v3", "moe_layer_freq", 2, "every layer"},
      {"gpt2", "add_cross_attention", true, "no encoder"},
      {"gpt2", "activation_function", "xielu", "supported: silu"},
      {"opt", "layer_norm_elementwise_affine", false, "norms have weights"},
      {"bert", "position_embedding_type", "relative_key", "supported: absolute"},
      {"roberta", "add_cross_attention", true, "no encoder"},
      {"vit", "pooler_act", "xielu", "supported: silu"},
      {"whisper", "activation_function", "xielu", "supported: silu"},
      {"t5", "dense_act_fn", "xielu", "supported: silu"},
      {"t5", "is_decoder", true, "has an encoder"},
  };
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(std::string(refusal.model) + "." + refusal.key);
    TestCheckpoint checkpoint =
        TestCheckpoint::read(reference_folder(std::string("hf/") + refusal.model));
    checkpoint.config[refusal.key] = refusal.value;
    const std::string message = open_error(ErrorKind::kUser, checkpoint);
    expect_contains(message, std::string("\"") + refusal.key + "\" is ");
    expect_contains(message, refusal.says);
  }
}

TEST(ConfigErrors, ValuesOfArchitecturesMustFit) {
  const Refusal refusals[] = {
      {"mixtral", "num_experts_per_tok", 5, "at most num_local_experts (4)"},
      {"mixtral", "num_local_experts", 1000000, "at most 16384"},
      {"qwen3_moe", "mlp_only_layers", {-1}, "a list of non-negative integers"},
      {"deepseek_v3", "n_group", 3, "a divisor of n_routed_experts (8)"},
      {"deepseek_v3", "topk_group", 3, "at most n_group"},
      {"deepseek_v3", "num_experts_per_tok", 5, "at most the experts of topk_group groups"},
      {"deepseek_v3", "qk_rope_head_dim", 7, "an even size"},
      {"gpt2", "n_head", 3, "a divisor of the hidden size (64)"},
      {"whisper", "decoder_attention_heads", 5, "a divisor of the hidden size (64)"},
      {"vit", "image_size", {8, 8, 8}, "a positive integer, or two of them"},
      {"vit", "patch_size", 64, "at most image_size"},
      {"t5", "relative_attention_max_distance", 3, "above half of"},
      {"t5", "relative_attention_num_buckets", 2, "at least 4"},
  };
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(std::string(refusal.model) + "." + refusal.key);
    TestCheckpoint checkpoint =
        TestCheckpoint::read(reference_folder(std::string("hf/") + refusal.model));
    checkpoint.config[refusal.key] = refusal.value;
    const std::string message = open_error(ErrorKind::kData, checkpoint);
    expect_contains(message, std::string("\"") + refusal.key + "\" must be ");
    expect_contains(message, refusal.says);
  }
}

TEST(ConfigErrors, PartialHeadsAndLongFactorsMustFit) {
  TestCheckpoint neox = TestCheckpoint::read(reference_folder("hf/gpt_neox"));
  neox.config["rope_parameters"]["partial_rotary_factor"] = 0.2;  // 3 of 16
  expect_contains(open_error(ErrorKind::kData, neox), "an even number of elements");
  TestCheckpoint phi = TestCheckpoint::read(reference_folder("variants/phi3_long"));
  phi.config["rope_parameters"]["short_factor"] = {1.0};
  expect_contains(open_error(ErrorKind::kData, phi), "as long as short_factor");
  phi.config["rope_parameters"]["long_factor"] = {1.0};
  expect_contains(open_error(ErrorKind::kData, phi), "longrope needs 4 factors");
}

TEST(ConfigErrors, MoreLayersOrExpertsThanTensorsAreFoundAtOnce) {
  for (const auto& [model, key] : {std::pair("gpt2", "n_layer"),
                                   {"opt", "num_hidden_layers"},
                                   {"bert", "num_hidden_layers"},
                                   {"vit", "num_hidden_layers"},
                                   {"whisper", "decoder_layers"},
                                   {"t5", "num_layers"},
                                   {"gpt_neox", "num_hidden_layers"}}) {
    SCOPED_TRACE(model);
    TestCheckpoint checkpoint = TestCheckpoint::read(reference_folder(std::string("hf/") + model));
    checkpoint.config[key] = 60000;
    expect_contains(open_error(ErrorKind::kData, checkpoint), "but there are only");
  }
  TestCheckpoint mixtral = TestCheckpoint::read(reference_folder("hf/mixtral"));
  mixtral.config["num_local_experts"] = 16000;
  expect_contains(open_error(ErrorKind::kData, mixtral), "but there are only");
}

TEST(ConfigErrors, LayerTypesMustFit) {
  expect_contains(config_error(ErrorKind::kData, "qwen2_window", "layer_types", {"full_attention"}),
                  "num_hidden_layers (2)");
  expect_contains(config_error(ErrorKind::kData, "qwen2_window", "sliding_window", nullptr),
                  "\"sliding_window\" must be a size, since layer_types has sliding_attention");
  expect_contains(config_error(ErrorKind::kData, "qwen2_window", "use_sliding_window", false),
                  "\"use_sliding_window\" must be true");
}

TEST(ConfigErrors, BrokenJsonIsNamedWithItsLine) {
  const TemporaryFolder folder;
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_gelu"));
  checkpoint.write(folder.path());
  write_file(folder.path() / "config.json", "{\"hidden_size\": }");
  expect_contains(error_of(ErrorKind::kData, [&] { open_model(folder.path()); }), "config.json:1:");
  write_file(folder.path() / "config.json", "[1, 2]");
  expect_contains(error_of(ErrorKind::kData, [&] { open_model(folder.path()); }),
                  "config.json: expected a JSON object");
}

TEST(ConfigErrors, LongValuesAreCut) {
  const std::string message = llama_data_error("hidden_size", std::string(10000, 'x'));
  EXPECT_LT(message.size(), 400u);
}

TEST(Config, QwenWindowsFollowMaxWindowLayersWithoutLayerTypes) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("qwen2_window"));
  checkpoint.config.erase("layer_types");
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_FALSE(opened.model.root->at("model.layers.0.self_attn").has_attribute("sliding_window"));
  EXPECT_TRUE(opened.model.root->at("model.layers.1.self_attn").has_attribute("sliding_window"));
}

TEST(Config, MistralWithoutTheKeyHasItsUsualWindow) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("mistral_window"));
  checkpoint.config.erase("sliding_window");
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(opened.model.root->at("model.layers.0.self_attn").int_attribute("sliding_window"),
            4096);
}

TEST(Config, OldDtypeKeyIsRead) {
  TestCheckpoint checkpoint = TestCheckpoint::read(golden_folder("llama_gelu"));
  checkpoint.config.erase("dtype");
  checkpoint.config["torch_dtype"] = "float32";
  const TemporaryFolder folder;
  EXPECT_EQ(open_checkpoint(checkpoint, folder).model.dtype, at::kFloat);
  checkpoint.config.erase("torch_dtype");
  const TemporaryFolder other;
  EXPECT_EQ(open_checkpoint(checkpoint, other).model.dtype, at::kBFloat16);
}

}  // namespace
}  // namespace lathe::frontends
