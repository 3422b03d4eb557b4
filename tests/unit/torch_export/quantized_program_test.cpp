#include "export/torch_export/quantized_program.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "base/error.h"
#include "base/mapped_file.h"
#include "frontends/torch_export/archive.h"
#include "io/json.h"
#include "io/pt2_layout.h"
#include "unit/torch_export/all_edits.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;
using frontends::torch_export::Archive;
using frontends::torch_export::FlatNode;
using frontends::torch_export::InputSpec;
using frontends::torch_export::read_archive;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path golden(const std::string& name) {
  return fs::path(LATHE_GOLDEN_DIR) / "torch_export" / (name + ".pt2");
}

std::vector<std::byte> write(const std::string& name, const ProgramEdits& edits) {
  std::vector<std::byte> bytes;
  const WrittenProgram written =
      QuantizedProgram(golden(name)).write(edits, [&](std::span<const std::byte> piece) {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
      });
  EXPECT_EQ(written.bytes, bytes.size());
  EXPECT_LE(written.bytes, QuantizedProgram(golden(name)).planned_bytes(edits));
  return bytes;
}

/// Codes 0, 1, 2, ...
TensorSource counting(DType dtype, std::vector<int64_t> shape) {
  return {dtype, shape, [dtype, shape](const ByteSink& sink) {
            size_t bytes = dtype_size(dtype);
            for (int64_t size : shape) bytes *= static_cast<size_t>(size);
            for (size_t i = 0; i < bytes; ++i) {
              const auto byte = static_cast<std::byte>(i);
              sink(std::span(&byte, 1));
            }
          }};
}

size_t count(const Archive& archive, std::string_view target) {
  const auto& nodes = archive.program.graph.nodes;
  return static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), [&](const FlatNode& node) {
    return node.target.find(target) != std::string::npos;
  }));
}

const FlatNode& node_called(const Archive& archive, const std::string& name) {
  for (const FlatNode& node : archive.program.graph.nodes) {
    if (node.name == name) return node;
  }
  throw_internal("no node {}", name);
}

/// The value that a node is given.
std::string read_by(const Archive& archive, const std::string& node, const std::string& argument) {
  for (const auto& input : node_called(archive, node).inputs) {
    if (input.name == argument) return input.value.text;
  }
  return "";
}

InputSpec::Kind kind_of(const Archive& archive, const std::string& tensor) {
  for (const InputSpec& spec : archive.program.inputs) {
    if (spec.target == tensor) return spec.kind;
  }
  return InputSpec::Kind::kUnsupported;
}

std::vector<std::byte> values_of(const io::StoredView& view) {
  return {view.storage.view.begin(), view.storage.view.end()};
}

class Versions : public testing::TestWithParam<const char*> {
 protected:
  std::string archive(const std::string& name) const { return GetParam() + ("/" + name); }
};

TEST_P(Versions, WithoutEditsAllIsKept) {
  const auto bytes = write(archive("unet"), {});
  const auto written = io::ZipArchive::from_bytes(bytes, "out.pt2");
  const auto source = io::ZipArchive::open(golden(archive("unet")));
  const io::Pt2Layout layout = io::find_pt2_layout(source);
  ASSERT_EQ(written.entries().size(), source.entries().size());
  for (const io::ZipEntry& entry : source.entries()) {
    const io::ZipEntry* found = written.find(entry.name);
    ASSERT_NE(found, nullptr) << entry.name;
    const auto before = source.read(entry, 1 << 20);
    const auto after = written.read(*found, 1 << 20);
    if (entry.name.ends_with(".json")) {
      const auto parse = [](const std::vector<std::byte>& text) {
        return io::parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, "json");
      };
      EXPECT_EQ(parse(after), parse(before)) << entry.name;
    } else if (entry.name != layout.weights) {
      EXPECT_EQ(after, before) << entry.name;
    }
  }
  const Archive before = read_archive(golden(archive("unet")));
  const Archive after = read_archive(bytes, "out.pt2");
  ASSERT_EQ(after.weights.size(), before.weights.size());
  for (size_t i = 0; i < before.weights.size(); ++i) {
    EXPECT_EQ(after.weights[i].name, before.weights[i].name);
    EXPECT_EQ(after.weights[i].is_parameter, before.weights[i].is_parameter);
    EXPECT_EQ(after.weights[i].requires_grad, before.weights[i].requires_grad);
    EXPECT_EQ(values_of(after.weights[i]), values_of(before.weights[i]));
  }
}

TEST_P(Versions, WeightPerChannel) {
  ProgramEdits edits;
  edits.weights.push_back({"down1.0.weight",
                           counting(DType::kI8, {4, 2, 3, 3}),
                           {.scales = {1, 2, 3, 4}, .quant_min = -127, .axis = 0}});
  const auto bytes = write(archive("unet"), edits);
  EXPECT_EQ(bytes, write(archive("unet"), edits));
  const Archive written = read_archive(bytes, "out.pt2");
  const io::StoredView* codes = written.find("down1.0.weight");
  ASSERT_NE(codes, nullptr);
  EXPECT_EQ(codes->dtype, DType::kI8);
  EXPECT_EQ(codes->storage.view.size(), 72u);
  EXPECT_FALSE(codes->is_parameter);
  EXPECT_EQ(written.find("down1.0.weight_scale")->dtype, DType::kF32);
  EXPECT_EQ(written.find("down1.0.weight_zero_point")->dtype, DType::kI64);
  EXPECT_EQ(kind_of(written, "down1.0.weight"), InputSpec::Kind::kBuffer);
  EXPECT_EQ(kind_of(written, "down1.0.bias"), InputSpec::Kind::kParameter);
  const std::string value = read_by(written, "conv2d", "weight");
  EXPECT_EQ(node_called(written, value).target,
            "torch.ops.quantized_decomposed.dequantize_per_channel.default");
  EXPECT_EQ(node_called(written, value).stack.back().path, "down1.0");
  EXPECT_EQ(written.program.graph.tensors.at(value).sizes,
            written.program.graph.tensors.at("b_down1_0_weight").sizes);
}

TEST_P(Versions, FoldedNorm) {
  const Archive source = read_archive(golden(archive("resnet")));
  const std::string input = read_by(source, "batch_norm", "input");
  ProgramEdits edits;
  edits.dropped.push_back({"batch_norm", input});
  edits.biases.push_back({input, "conv1.bias", counting(DType::kF32, {4})});
  edits.replaced.push_back({"conv1.weight", counting(DType::kF32, {4, 3, 7, 7})});
  edits.activations.push_back({input, "input", int8_scheme()});
  const auto bytes = write(archive("resnet"), edits);
  const Archive written = read_archive(bytes, "out.pt2");
  EXPECT_EQ(count(written, "batch_norm"), count(source, "batch_norm") - 1);
  EXPECT_EQ(read_by(written, input, "bias"), "p_conv1_bias");
  EXPECT_EQ(kind_of(written, "conv1.bias"), InputSpec::Kind::kParameter);
  EXPECT_TRUE(written.find("conv1.bias")->is_parameter);
  for (const char* name :
       {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}) {
    EXPECT_EQ(written.find(std::string("bn1.") + name), nullptr) << name;
    EXPECT_EQ(kind_of(written, std::string("bn1.") + name), InputSpec::Kind::kUnsupported) << name;
  }
  EXPECT_NE(written.find("layer1.0.bn1.weight"), nullptr);
  EXPECT_EQ(static_cast<int>(values_of(*written.find("conv1.weight"))[5]), 5);
}

INSTANTIATE_TEST_SUITE_P(Torch, Versions, testing::Values("v2_6", "v2_11", "v2_15"));

// Several readers

/// The convolutions of resnet's second layer that read one value, between which ReLU is in place.
ProgramEdits two_readers(float first, float second) {
  const Archive source = read_archive(golden("v2_11/resnet"));
  std::map<std::string, std::vector<std::string>> readers;
  for (const FlatNode& node : source.program.graph.nodes) {
    if (node.target == "torch.ops.aten.conv2d.default")
      readers[node.inputs[0].value.text].push_back(node.name);
  }
  for (const auto& [value, nodes] : readers) {
    if (nodes.size() < 2) continue;
    return {.activations = {{nodes[0], "input", int8_scheme(first)},
                            {nodes[1], "input", int8_scheme(second)}}};
  }
  throw_internal("no value with two readers");
}

TEST(QuantizedProgram, EqualSchemesShareAPair) {
  const auto shared = write("v2_11/resnet", two_readers(0.5f, 0.5f));
  EXPECT_EQ(count(read_archive(shared, "out.pt2"), "dequantize_per_tensor"), 1u);
  const auto own = write("v2_11/resnet", two_readers(0.5f, 0.25f));
  EXPECT_EQ(count(read_archive(own, "out.pt2"), "dequantize_per_tensor"), 2u);
}

TEST(QuantizedProgram, ASharedPairCutsNoCallInTwo) {
  const auto bytes = write("v2_11/resnet", two_readers(0.5f, 0.5f));
  const Archive written = read_archive(bytes, "out.pt2");
  const auto& nodes = written.program.graph.nodes;
  const auto pair = std::find_if(nodes.begin(), nodes.end(), [](const FlatNode& node) {
    return node.target.find("quantize_per_tensor") != std::string::npos;
  });
  ASSERT_NE(pair, nodes.end());
  // Both readers are parts of layer2.0.
  EXPECT_EQ(pair->stack.back().path, "layer2.0");
}

TEST(QuantizedProgram, OutputsThatAreQuantizedAlikeAreNotQuantizedAgain) {
  ProgramEdits edits = two_readers(0.5f, 0.5f);
  const Archive source = read_archive(golden("v2_11/resnet"));
  const std::string value = read_by(source, edits.activations[0].node, "input");
  edits.outputs.push_back({value, int8_scheme(0.5f)});
  const auto bytes = write("v2_11/resnet", edits);
  const Archive written = read_archive(bytes, "out.pt2");
  EXPECT_EQ(count(written, "dequantize_per_tensor"), 1u);
  EXPECT_EQ(read_by(written, edits.activations[0].node, "input"),
            read_by(written, edits.activations[1].node, "input"));
}

TEST(QuantizedProgram, TheCallersOutputIsQuantizedToo) {
  const auto bytes = write("v2_11/resnet", {.outputs = {{"linear", int8_scheme()}}});
  const Archive written = read_archive(bytes, "out.pt2");
  const std::string output = written.program.graph.outputs[0].text;
  EXPECT_EQ(output, written.program.outputs[0].value.text);
  EXPECT_EQ(node_called(written, output).target,
            "torch.ops.quantized_decomposed.dequantize_per_tensor.default");
}

TEST(QuantizedProgram, TiedWeightsStayWhereTheyAreNotQuantized) {
  ProgramEdits edits;
  edits.weights.push_back({"head.weight", counting(DType::kI8, {20, 8}), int8_scheme()});
  const auto bytes = write("v2_11/gpt_dynamic", edits);
  const Archive written = read_archive(bytes, "out.pt2");
  EXPECT_EQ(written.find("wte.weight")->dtype, DType::kF32);
  EXPECT_EQ(values_of(*written.find("wte.weight")),
            values_of(*read_archive(golden("v2_11/gpt_dynamic")).find("wte.weight")));
  EXPECT_EQ(written.find("head.weight")->dtype, DType::kI8);
}

TEST(QuantizedProgram, Float8IsRoundedOnce) {
  const QdqScheme scheme{
      .scales = {0.5f}, .quant_min = -448, .quant_max = 448, .dtype = DType::kF8E4M3};
  const auto bytes = write("v2_11/resnet", {.activations = {{"linear", "input", scheme}}});
  const Archive written = read_archive(bytes, "out.pt2");
  EXPECT_EQ(count(written, ".quantize_per_tensor"), 0u);
  EXPECT_EQ(count(written, "aten.clamp.default"), 1u);
  EXPECT_EQ(count(written, "dequantize_per_tensor"), 1u);
}

// Problems

struct ProblemCase {
  const char* name;
  const char* archive;
  ProgramEdits edits;
  const char* message;
};

ProgramEdits weight(const char* name, DType dtype, std::vector<int64_t> shape, QdqScheme scheme) {
  ProgramEdits edits;
  edits.weights.push_back({name, counting(dtype, std::move(shape)), std::move(scheme)});
  return edits;
}

std::vector<ProblemCase> problem_cases() {
  const QdqScheme plain = int8_scheme();
  const QdqScheme float8{
      .scales = {1}, .quant_min = -448, .quant_max = 448, .dtype = DType::kF8E4M3};
  return {
      {"node", "v2_11/resnet", {.activations = {{"conv9", "input", plain}}}, "no node conv9"},
      {"argument", "v2_11/resnet", {.activations = {{"linear", "mat1", plain}}}, "no such tensor"},
      {"none", "v2_11/resnet", {.activations = {{"conv2d", "bias", plain}}}, "no such tensor"},
      {"twice",
       "v2_11/resnet",
       {.activations = {{"linear", "input", plain}, {"linear", "input", plain}}},
       "quantized twice"},
      {"inner", "v2_11/no_grad", {.outputs = {{"mul", plain}}}, "higher-order operator"},
      {"scale", "v2_11/resnet", {.outputs = {{"linear", int8_scheme(0)}}}, "scale 0"},
      {"axis",
       "v2_11/resnet",
       {.outputs = {{"linear", {.scales = {1}, .axis = 0}}}},
       "activations have one scale"},
      {"range",
       "v2_11/resnet",
       {.outputs = {{"linear", {.scales = {1}, .quant_max = 200}}}},
       "codes from -128 to 200"},
      {"zero",
       "v2_11/resnet",
       {.outputs = {{"linear", {.scales = {1}, .zero_points = {300}}}}},
       "zero point 300"},
      {"float8", "v2_6/resnet", {.outputs = {{"linear", float8}}}, "cannot hold float8_e4m3fn"},
      {"integers",
       "v2_11/gpt_dynamic",
       {.activations = {{"embedding", "indices", plain}}},
       "found int64"},
      {"unknown", "v2_11/resnet", weight("fc.w", DType::kI8, {1}, plain), "no tensor of that name"},
      {"shape", "v2_11/resnet", weight("fc.weight", DType::kI8, {8, 10}, plain),
       "expected [10, 8]"},
      {"dtype", "v2_11/resnet", weight("fc.weight", DType::kU8, {10, 8}, plain),
       "codes of uint8, a scheme of int8"},
      {"scales", "v2_11/resnet",
       weight("fc.weight", DType::kI8, {10, 8}, {.scales = {1, 2}, .axis = 0}),
       "2 scales, expected 10"},
      {"groups", "v2_11/resnet",
       weight("fc.weight", DType::kI8, {10, 8}, {.scales = {1}, .group_size = 3}),
       "no groups of 3"},
      {"values",
       "v2_11/resnet",
       {.replaced = {{"fc.weight", counting(DType::kF16, {10, 8})}}},
       "float16 [10, 8], expected"},
      {"bias",
       "v2_11/resnet",
       {.biases = {{"linear", "fc.bias2", counting(DType::kF32, {10})}}},
       "has a bias already"},
      {"channels",
       "v2_11/resnet",
       {.biases = {{"conv2d", "conv1.bias", counting(DType::kF32, {5})}}},
       "expected [4]"},
      {"no_layer",
       "v2_11/resnet",
       {.biases = {{"flatten", "b", counting(DType::kF32, {5})}}},
       "no convolution or linear"},
      {"order", "v2_11/resnet", {.dropped = {{"conv2d", "linear"}}}, "not computed before it"},
      {"other", "v2_11/resnet", {.dropped = {{"linear", "x"}}}, "not of its dtype and shape"},
      {"in_place", "v2_11/resnet", {.activations = {{"relu_", "self", plain}}}, ""},
  };
}

class Problems : public testing::TestWithParam<ProblemCase> {};

TEST_P(Problems, AreNamed) {
  const ProblemCase& test = GetParam();
  const QuantizedProgram program(golden(test.archive));
  const auto ignore = [](std::span<const std::byte>) {};
  if (*test.message == '\0') {
    EXPECT_THAT(program.problems(test.edits), ElementsAre());
    program.write(test.edits, ignore);
    return;
  }
  try {
    program.write(test.edits, ignore);
    ADD_FAILURE() << "written";
  } catch (const DataError& error) {
    EXPECT_THAT(std::string(error.what()), HasSubstr(test.message));
  }
}

INSTANTIATE_TEST_SUITE_P(QuantizedProgram, Problems, testing::ValuesIn(problem_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(QuantizedProgram, AllProblemsAtOnceAndScalesLater) {
  const QuantizedProgram program(golden("v2_11/resnet"));
  ProgramEdits edits;
  edits.activations = {{"linear", "input", {}}};
  EXPECT_THAT(program.problems(edits), ElementsAre());
  edits.outputs = {{"a", {}}, {"b", {}}};
  EXPECT_EQ(program.problems(edits).size(), 2u);
}

TEST(QuantizedProgram, AFailedWriteLeavesNothing) {
  const fs::path folder = fs::path(testing::TempDir()) / "lathe_failed_pt2";
  fs::create_directories(folder);
  ProgramEdits edits = weight("fc.weight", DType::kI8, {10, 8}, int8_scheme());
  edits.weights[0].codes.write = [](const ByteSink&) {};
  EXPECT_THROW(QuantizedProgram(golden("v2_11/resnet")).write(edits, folder / "out.pt2"),
               InternalError);
  EXPECT_TRUE(fs::is_empty(folder));
  fs::remove_all(folder);
}

// Programs of others

std::string program_text(const std::string& name) {
  const auto zip = io::ZipArchive::open(golden(name));
  const auto bytes = zip.read(*zip.find(io::find_pt2_layout(zip).program), 1 << 24);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(EditedPrograms, AreProgramsThatTheReaderTakes) {
  size_t edited = 0;
  for (const char* name : {"v2_11/unet", "v2_6/resnet", "v2_11/structures", "v2_11/counter",
                           "v2_11/lstm_state", "v2_11/gpt_dynamic", "v2_11/cond"}) {
    const ProgramJson program(io::parse_json(program_text(name), name), name);
    for_each_edit(program, 12, [&](const ProgramEdits& edits) {
      const auto result = try_edit(program, edits);
      if (!result) return;
      ++edited;
      EXPECT_NO_THROW(frontends::torch_export::parse_program(io::dump_json(result->json), name));
    });
  }
  EXPECT_GT(edited, 200u);
}

/// Changes one place of a JSON text's tree.
void mutate(Json& json, std::mt19937& random) {
  Json* place = &json;
  for (int depth = 0; depth < 12 && place->is_structured() && !place->empty(); ++depth) {
    if (depth > 2 && random() % 6 == 0) break;
    auto item = place->begin();
    std::advance(item, static_cast<std::ptrdiff_t>(random() % place->size()));
    place = &*item;
  }
  const Json values[] = {nullptr,          -1,   "x_name", Json::array(), Json::object(),
                         int64_t{1} << 62, true, 0.5,      "conv2d",      {{"as_none", true}}};
  *place = values[random() % std::size(values)];
}

TEST(EditedPrograms, BrokenOnesAreDataErrors) {
  const Json source = io::parse_json(program_text("v2_11/unet"), "unet");
  std::mt19937 random(7);
  size_t refused = 0, edited = 0;
  for (int round = 0; round < 100; ++round) {
    Json json = source;
    for (uint32_t i = random() % 3; i < 3; ++i) mutate(json, random);
    try {
      const ProgramJson program(std::move(json), "mutated");
      for_each_edit(program, 4, [&](const ProgramEdits& edits) {
        edited += try_edit(program, edits).has_value();
      });
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10u);
  EXPECT_GT(edited, 50u);
}

}  // namespace
}  // namespace lathe::exporting
