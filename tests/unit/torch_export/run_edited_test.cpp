// Quantized archives run by Lathe itself: the operators in the program compute what fake
// quantization does.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "export/torch_export/quantized_program.h"
#include "frontends/torch_export/archive.h"
#include "frontends/torch_export/open.h"
#include "io/safetensors_reader.h"
#include "ops/interpreter.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeight = "conv1.weight";

TensorSource source_of(const at::Tensor& tensor, DType dtype) {
  return {dtype, tensor.sizes().vec(), [tensor](const ByteSink& sink) {
            sink({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
          }};
}

class RunEdited : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / (std::string("lathe_run_edited_") + GetParam());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path golden(const char* extension) const {
    return fs::path(LATHE_GOLDEN_DIR) / "torch_export" / GetParam() /
           (std::string("resnet") + extension);
  }

  at::Tensor weight() const {
    const auto archive = frontends::torch_export::read_archive(golden(".pt2"));
    const io::StoredView* view = archive.find(kWeight);
    return at::from_blob(const_cast<std::byte*>(view->storage.view.data()), view->sizes, at::kFloat)
        .clone();
  }

  /// What the net gives for `x` with the edits.
  at::Tensor run(const ProgramEdits& edits, const at::Tensor& x) const {
    const fs::path file = folder_ / "edited.pt2";
    QuantizedProgram(golden(".pt2")).write(edits, file);
    const auto opened = frontends::open_torch_export(file, {});
    ops::Interpreter interpreter;
    return ops::run_model(interpreter, *opened.model.root, {{"x", x}}).at("output");
  }

  fs::path folder_;
};

TEST_P(RunEdited, EqualsFakeQuantization) {
  const auto file = io::SafetensorsFile::open(golden(".safetensors"));
  const io::TensorEntry& entry = file.at("0.input.x");
  const at::Tensor x = at::from_blob(const_cast<std::byte*>(entry.data().data()),
                                     {static_cast<int64_t>(entry.bytes)}, at::kByte)
                           .clone()
                           .view(at::kFloat)
                           .view(entry.shape);
  const at::Tensor floats = weight();
  const at::Tensor scales = floats.abs().amax({1, 2, 3}) / 127;
  const at::Tensor broadcast = scales.view({-1, 1, 1, 1});
  const at::Tensor codes = (floats / broadcast).round().clamp(-127, 127);
  constexpr double kScale = 0.03125;
  constexpr int64_t kZero = 5;
  const at::Tensor rounded = ((x / kScale).round() + kZero).clamp(-128, 127).sub(kZero).mul(kScale);

  ProgramEdits quantized;
  quantized.activations.push_back(
      {"conv2d", "input", {.scales = {static_cast<float>(kScale)}, .zero_points = {kZero}}});
  quantized.weights.push_back(
      {kWeight,
       source_of(codes.to(at::kChar), DType::kI8),
       {.scales = {scales.const_data_ptr<float>(), scales.const_data_ptr<float>() + scales.numel()},
        .quant_min = -127,
        .axis = 0}});
  ProgramEdits replaced;
  replaced.replaced.push_back({kWeight, source_of(codes * broadcast, DType::kF32)});
  const at::Tensor found = run(quantized, x);
  EXPECT_TRUE(at::equal(found, run(replaced, rounded)));
  EXPECT_FALSE(at::equal(found, run({}, x)));
}

INSTANTIATE_TEST_SUITE_P(Torch, RunEdited, testing::Values("v2_6", "v2_11", "v2_15"));

}  // namespace
}  // namespace lathe::exporting
