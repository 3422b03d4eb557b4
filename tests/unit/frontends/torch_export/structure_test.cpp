// The modules and graphs that archives become: frontends/torch_export/open.h.
#include <gmock/gmock.h>

#include "archive_fixture.h"
#include "base/error.h"
#include "frontends/torch_export/open.h"
#include "frontends/torch_export/program_sites.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/interpreter.h"

namespace lathe::frontends {
namespace {

using testing::HasSubstr;
using torch_export::Entries;
using Json = nlohmann::ordered_json;

ir::ModulePtr open_entries(const Entries& entries) {
  const torch_export::TemporaryFile file("net.pt2", torch_export::zip_bytes(entries));
  const OpenedModel opened = open_torch_export(file.path(), {});
  ir::verify_tree(*opened.model.root);
  return opened.model.root;
}

ir::ModulePtr open_golden(const std::string& name) {
  return open_entries(torch_export::golden_entries(name));
}

std::string type_at(const ir::ModulePtr& root, const std::string& path) {
  return root->at(path).type;
}

std::string text_attribute(const ir::Module& module, const std::string& name) {
  const ir::Attribute* attribute = module.attributes.find(name);
  const auto* text = attribute ? std::get_if<std::string>(attribute) : nullptr;
  return text ? *text : "";
}

TEST(TorchExportStructure, SitesNameTheProgramsNodes) {
  const auto sites_of = [](const std::string& name) {
    const torch_export::TemporaryFile file(
        "net.pt2", torch_export::zip_bytes(torch_export::golden_entries(name)));
    return open_torch_export(file.path(), {}).program;
  };
  const auto resnet = sites_of("v2_11/resnet");
  const LeafCall& conv = resnet->leaves.at("conv1").at(0);
  EXPECT_EQ(conv.node, "conv2d");
  ASSERT_EQ(conv.reads.size(), 1u);
  EXPECT_EQ(conv.reads[0].node, "conv2d");
  EXPECT_EQ(conv.reads[0].argument, "input");
  EXPECT_EQ(conv.rank, 4u);
  EXPECT_TRUE(conv.is_one_node);
  const auto decomposed = sites_of("v2_11/vit_decomposed");
  EXPECT_FALSE(decomposed->leaves.at("blocks.0.mlp.0").at(0).is_one_node);
  const auto vit = sites_of("v2_11/vit");
  const auto& attention = vit->graphs.at("blocks.1.attention").at(0);
  EXPECT_TRUE(attention.contains("scaled_dot_product_attention"));
  const auto shared = sites_of("v2_11/shared");
  EXPECT_TRUE(std::any_of(shared->leaves.begin(), shared->leaves.end(),
                          [](const auto& leaf) { return leaf.second.size() > 1; }));
}

TEST(TorchExportStructure, ModulesOfTorchNnAreLeaves) {
  const struct {
    const char* archive;
    const char* path;
    const char* type;
  } leaves[] = {
      {"v2_11/resnet", "conv1", "Conv2d"},
      {"v2_11/resnet", "layer2.0.downsample.1", "BatchNorm2d"},
      {"v2_11/resnet", "relu", "ReLU"},
      {"v2_11/resnet", "maxpool", "MaxPool2d"},
      {"v2_11/resnet", "avgpool", "AdaptiveAvgPool2d"},
      {"v2_11/resnet", "fc", "Linear"},
      {"v2_11/resnet_decomposed", "conv1", "Conv2d"},
      {"v2_11/resnet_decomposed", "bn1", "BatchNorm2d"},
      {"v2_11/resnet_decomposed", "fc", "Linear"},
      {"v2_6/resnet", "layer1.1.bn2", "BatchNorm2d"},
      {"v2_15/resnet", "layer1.1.bn2", "BatchNorm2d"},
      {"v2_11/vgg_strict", "features.0", "Conv2d"},
      {"v2_6/vgg_strict", "features.0", "Conv2d"},
      {"v2_11/unet", "up", "ConvTranspose2d"},
      {"v2_11/unet", "down1.4", "InstanceNorm2d"},
      {"v2_11/unet", "upsample", "Upsample"},
      {"v2_11/unet3d", "enc.0", "Conv3d"},
      {"v2_11/unet3d", "enc.1", "GroupNorm"},
      {"v2_11/unet3d", "dec", "ConvTranspose3d"},
      {"v2_11/wavenet", "norm", "BatchNorm1d"},
      {"v2_11/lstm", "rnn", "LSTM"},
      {"v2_6/lstm", "rnn", "LSTM"},
      {"v2_11/gru", "rnn", "GRU"},
      {"v2_11/rnn", "rnn", "RNN"},
      {"v2_11/lstm_state", "lstm", "LSTM"},
      {"v2_11/lengths", "gru", "GRU"},
      {"v2_11/lstm", "embedding", "Embedding"},
      {"v2_11/gpt_dynamic", "blocks.0.ln2", "RMSNorm"},
      {"v2_11/gpt_dynamic", "blocks.0.mlp.1", "GELU"},
      {"v2_11/conformer", "blocks.0.2.glu", "GLU"},
      {"v2_11/activations", "acts.3", "PReLU"},
      {"v2_11/activations", "acts.8", "Hardswish"},
      {"v2_11/activations", "acts.21", "Softmax"},
      {"v2_11/vit", "blocks.0.mlp.2", "Dropout"},
      {"v2_11/vit_decomposed", "blocks.0.ln1", "LayerNorm"},
      {"v2_11/vit_decomposed", "blocks.0.mlp.0", "Linear"},
  };
  for (const auto& [archive, path, type] : leaves) {
    const ir::ModulePtr root = open_golden(archive);
    const ir::Module& module = root->at(path);
    EXPECT_EQ(module.type, type) << archive << " " << path;
    EXPECT_FALSE(module.is_composite()) << archive << " " << path;
  }
}

TEST(TorchExportStructure, LeavesHaveTheOperatorsArguments) {
  const ir::ModulePtr root = open_golden("v2_11/mobilenet");
  EXPECT_EQ(ir::print(root->at("blocks.0.depthwise.0")),
            "module Conv2d {\n"
            "  attribute stride = [1, 1]\n"
            "  attribute padding = [1, 1]\n"
            "  attribute dilation = [1, 1]\n"
            "  attribute groups = 12\n"
            "  parameter weight: f32[12, 1, 3, 3] &1\n"
            "}\n");
}

TEST(TorchExportStructure, GraphsOfCallsAreCutOutOfTheFlatOne) {
  const ir::ModulePtr root = open_golden("v2_11/resnet");
  EXPECT_EQ(ir::print(*root->at("layer2.0").graph),
            "%input = placeholder \"input\"\n"
            "%conv1 = call_module conv1(%input)\n"
            "%bn1 = call_module bn1(%conv1)\n"
            "%relu = call_module relu(%bn1)\n"
            "%conv2 = call_module conv2(%relu)\n"
            "%bn2 = call_module bn2(%conv2)\n"
            "%downsample = call_module downsample(%input)\n"
            "%add_ = call_op aten::add_.Tensor(%bn2, %downsample)\n"
            "%relu_1 = call_module relu(%add_)\n"
            "output(%relu_1)\n");
  // Equal blocks share a Graph.
  EXPECT_EQ(root->at("layer1.0").graph, root->at("layer1.1").graph);
  EXPECT_NE(root->at("layer1.0").graph, root->at("layer2.0").graph);
  EXPECT_EQ(type_at(root, "layer1"), "Sequential");
  EXPECT_EQ(type_at(root, "layer1.0"), "BasicBlock");
}

TEST(TorchExportStructure, SeveralValuesLeaveAsAList) {
  const ir::ModulePtr root = open_golden("v2_11/hooked");
  EXPECT_EQ(ir::print(*root->graph),
            "%x = placeholder \"x\"\n"
            "%body = call_module body(%x)\n"
            "%getitem = call_op builtin::getitem(%body, 0)\n"
            "%getitem_1 = call_op builtin::getitem(%body, 1)\n"
            "%add = call_op aten::add.Tensor(%getitem_1, %getitem)\n"
            "output(%add)\n");
}

TEST(TorchExportStructure, SharedModulesAreOne) {
  for (const char* name : {"v2_6/shared", "v2_11/shared", "v2_15/shared"}) {
    const ir::ModulePtr root = open_golden(name);
    EXPECT_EQ(root->find("fc"), root->find("other_name")) << name;
    // Two shapes: the second call does something else with the same parameters.
    EXPECT_NE(root->at("block").graph, root->at("block_call1").graph) << name;
    EXPECT_EQ(root->find_parameter("block.fc.weight"),
              root->find_parameter("block_call1.fc.weight"));
  }
}

TEST(TorchExportStructure, ParametersThatNobodyUsesAreKept) {
  for (const char* name : {"v2_6/unused", "v2_11/unused", "v2_15/unused"}) {
    const ir::ModulePtr root = open_golden(name);
    EXPECT_NE(root->find_parameter("idle.0.weight"), nullptr) << name;
    EXPECT_NE(root->find_parameter("idle.1.running_mean"), nullptr) << name;
    EXPECT_NE(root->find_parameter("loose"), nullptr) << name;
    EXPECT_EQ(root->find("same"), root->find("used")) << name;
    EXPECT_EQ(type_at(root, "idle"), "ModuleList") << name;
  }
}

TEST(TorchExportStructure, TiedWeightsAreOneParameter) {
  const auto file = std::filesystem::path(LATHE_GOLDEN_DIR) / "torch_export/v2_11/gpt_dynamic.pt2";
  const OpenedModel opened = open_torch_export(file, {});
  const ir::Module& root = *opened.model.root;
  EXPECT_EQ(root.find_parameter("head.weight"), root.find_parameter("wte.weight"));
  ASSERT_EQ(opened.model.tied.size(), 1u);
  EXPECT_EQ(opened.model.tied[0].first, "head.weight");
  EXPECT_EQ(opened.model.tied[0].second, "wte.weight");
  EXPECT_EQ(opened.model.architecture, "GPT");
  EXPECT_EQ(opened.model.dtype, at::kFloat);
}

TEST(TorchExportStructure, ParametersConvertToTheDTypeAskedFor) {
  const auto file = std::filesystem::path(LATHE_GOLDEN_DIR) / "torch_export/v2_11/dtypes.pt2";
  const ir::ModulePtr root = open_torch_export(file, {.dtype = at::kBFloat16}).model.root;
  EXPECT_EQ(root->find_parameter("transposed")->tensor().scalar_type(), at::kBFloat16);
  EXPECT_EQ(root->find_parameter("steps")->tensor().scalar_type(), at::kInt);
}

TEST(TorchExportStructure, ClassesThatDoWhatTorchNnDoes) {
  const ir::ModulePtr root = open_golden("v2_11/subclassed");
  EXPECT_EQ(type_at(root, "fc"), "Linear");
  EXPECT_EQ(text_attribute(root->at("fc"), "class"), "NamedLinear");
  EXPECT_EQ(type_at(root, "stack"), "Sequential");
  EXPECT_EQ(text_attribute(root->at("stack"), "class"), "Stack");
  EXPECT_EQ(type_at(root, "norm"), "nets.features.LayerNorm");
  EXPECT_TRUE(root->at("norm").is_composite());
}

TEST(TorchExportStructure, WhatTheUserGaveStaysAsItIs) {
  const ir::ModulePtr root = open_golden("v2_11/in_place");
  EXPECT_THAT(ir::print(*root->graph), HasSubstr("%clone = call_op aten::clone(%x)"));
  // Its input is read again by a view's name.
  EXPECT_TRUE(root->at("relu").is_composite());
}

TEST(TorchExportStructure, OperatorsThatAreNotThereFailTheirModuleAlone) {
  const ir::ModulePtr root = open_golden("v2_11/custom");
  EXPECT_EQ(text_attribute(root->at("inner"), "failed"),
            "this LibTorch has no operator golden::twist.default");
  EXPECT_FALSE(root->at("inner").is_composite());
  EXPECT_EQ(type_at(root, "inner.child"), "Linear");
  EXPECT_EQ(ir::print(*root->graph),
            "%x = placeholder \"x\"\n"
            "%before = call_module before(%x)\n"
            "%inner = call_module inner(%before)\n"
            "%after = call_module after(%inner)\n"
            "output(%after)\n");
  EXPECT_EQ(text_attribute(open_golden("v2_11/cond")->at("inner"), "failed"),
            "the operator torch.ops.higher_order.cond is not supported");
}

std::string error_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& error) {
    return (error.kind() == ErrorKind::kData ? "data: " : "user: ") + std::string(error.what());
  }
  return "no error";
}

TEST(TorchExportErrors, RunningAModuleThatFailed) {
  const ir::ModulePtr root = open_golden("v2_11/custom");
  ops::Interpreter interpreter;
  const std::string message = error_of([&] {
    ops::run_model(interpreter, *root, {{"x", at::Tensor()}});
  });
  EXPECT_EQ(message.substr(0, 6), "data: ");  // before any module runs: no tensor is given
  const ops::NamedTensors inputs = {{"x", root->find_parameter("before.weight")->tensor()}};
  EXPECT_EQ(error_of([&] { ops::run_model(interpreter, *root, inputs); }),
            "user: inner: CustomInner cannot be run: this LibTorch has no operator "
            "golden::twist.default");
}

TEST(TorchExportErrors, InputsThatAreMissing) {
  const ir::ModulePtr root = open_golden("v2_11/resnet");
  ops::Interpreter interpreter;
  EXPECT_EQ(error_of([&] { ops::run_model(interpreter, *root, {}); }),
            "user: the model's input \"x\" is missing");
}

TEST(TorchExportErrors, WeightsThatAreNotTheProgram) {
  Entries entries = torch_export::golden_entries("v2_11/subclassed");
  torch_export::edit_json(entries, "weights_config.json", [](Json& json) {
    json["config"]["fc.weight"]["tensor_meta"]["sizes"][0]["as_int"] = 2;
  });
  EXPECT_THAT(error_of([&] { open_entries(entries); }),
              HasSubstr("fc.weight is f32[2, 3] in the archive, the program takes [3, 3]"));
  entries = torch_export::golden_entries("v2_11/subclassed");
  torch_export::edit_json(entries, "weights_config.json",
                          [](Json& json) { json["config"].erase("fc.weight"); });
  EXPECT_THAT(error_of([&] { open_entries(entries); }),
              HasSubstr("the archive has no tensor fc.weight"));
}

TEST(TorchExportErrors, PathsOfModules) {
  for (const char* path : {"a..b", ".a", "a."}) {
    Entries entries = torch_export::golden_entries("v2_11/subclassed");
    torch_export::edit_json(entries, "models/model.json", [&](Json& json) {
      json["graph_module"]["module_call_graph"][1]["fqn"] = path;
    });
    EXPECT_THAT(error_of([&] { open_entries(entries); }), HasSubstr("non-empty parts")) << path;
  }
}

TEST(TorchExportErrors, OperatorsOnWhatTheyDoNotTake) {
  Entries entries = torch_export::golden_entries("v2_11/subclassed");
  torch_export::edit_json(entries, "models/model.json", [](Json& json) {
    torch_export::node_named(json, "relu")["inputs"][0] = {{"name", "surprise"},
                                                           {"arg", {{"as_int", 3}}}};
  });
  const ir::ModulePtr root = open_entries(entries);
  EXPECT_THAT(text_attribute(root->at("stack.1"), "failed"),
              HasSubstr("aten::relu has no argument surprise"));
}

}  // namespace
}  // namespace lathe::frontends
