// Archives of torch.export against torch: tests/golden/torch_export/make_golden.py.
#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "frontends/torch_export/open.h"
#include "io/safetensors_reader.h"
#include "ir/scalar_types.h"
#include "ir/verify.h"
#include "ops/interpreter.h"

namespace lathe::frontends {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-5;

fs::path golden_folder() { return fs::path(LATHE_GOLDEN_DIR) / "torch_export"; }

/// The archives below tests/golden/torch_export, as "v2_11/resnet".
std::vector<std::string> archives() {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(golden_folder())) {
    if (entry.path().extension() != ".pt2") continue;
    const std::string name = entry.path().stem();
    if (name == "cond" || name == "custom") continue;  // cannot be run: structure_test.cpp
    names.push_back(fs::relative(entry.path(), golden_folder()).replace_extension().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// A call of the net: what it was given, and what torch computed.
struct GoldenCall {
  ops::NamedTensors inputs;
  ops::NamedTensors outputs;
};

at::Tensor to_tensor(const io::TensorEntry& entry) {
  auto* data = const_cast<std::byte*>(entry.data().data());
  const at::Tensor bytes =
      at::from_blob(data, {static_cast<int64_t>(entry.bytes)}, at::kByte).clone();
  return bytes.view(ir::to_scalar_type(entry.dtype)).view(entry.shape);
}

/// The tensors of NAME.safetensors, called "0.input.x" and "0.output.output".
std::map<std::string, GoldenCall> golden_calls(const fs::path& path) {
  std::map<std::string, GoldenCall> calls;
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  for (const io::TensorEntry& entry : file.tensors()) {
    const size_t first = entry.name.find('.');
    const size_t second = entry.name.find('.', first + 1);
    GoldenCall& call = calls[entry.name.substr(0, first)];
    const bool is_input = entry.name.substr(first + 1, second - first - 1) == "input";
    (is_input ? call.inputs : call.outputs)[entry.name.substr(second + 1)] = to_tensor(entry);
  }
  return calls;
}

void expect_close(const std::string& name, const at::Tensor& found, const at::Tensor& expected) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << name;
  ASSERT_EQ(found.scalar_type(), expected.scalar_type()) << name;
  if (expected.numel() == 0) return;
  const at::Tensor wanted = expected.to(at::kDouble);
  const double scale = std::max(wanted.abs().max().item<double>(), 1e-3);
  const double error = (found.to(at::kDouble) - wanted).abs().max().item<double>() / scale;
  EXPECT_LT(error, kTolerance) << name;
}

std::string failure_of(const ir::Module& root) {
  std::string failures;
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (const auto* failed = module->attributes.find("failed"))
      failures += path + ": " + std::get<std::string>(*failed) + "\n";
  }
  return failures;
}

class TorchExportGolden : public testing::TestWithParam<std::string> {
 protected:
  fs::path file(const char* extension) const { return golden_folder() / (GetParam() + extension); }
};

TEST_P(TorchExportGolden, GivesTorchsOutputs) {
  const OpenedModel opened = open_torch_export(file(".pt2"), {});
  ir::verify_tree(*opened.model.root);
  EXPECT_EQ(failure_of(*opened.model.root), "");
  ASSERT_TRUE(opened.model.has_graph());
  ops::Interpreter interpreter;
  for (const auto& [index, call] : golden_calls(file(".safetensors"))) {
    for (const auto& [name, required] : ops::model_inputs(*opened.model.root))
      EXPECT_TRUE(call.inputs.contains(name)) << name;
    const auto outputs = ops::run_model(interpreter, *opened.model.root, call.inputs);
    EXPECT_EQ(outputs.size(), call.outputs.size());
    for (const auto& [name, expected] : call.outputs) {
      ASSERT_TRUE(outputs.contains(name)) << name;
      expect_close(index + "." + name, outputs.at(name), expected);
    }
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Archives, TorchExportGolden, testing::ValuesIn(archives()), test_name);

}  // namespace
}  // namespace lathe::frontends
