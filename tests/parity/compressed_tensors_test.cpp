// Logits of checkpoints that the compressed-tensors library made, beside those of transformers
// (tests/e2e/compressed_tensors/check.py --golden), and of a model before and after its export.
#include <gtest/gtest.h>

#include <cmath>

#include "parity/golden_preset.h"

namespace lathe::parity {
namespace {

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(LATHE_GOLDEN_DIR) / "compressed_tensors" / name;
}

/// mean |a - b| / mean |b|
double mean_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += std::abs(a.at(i) - b[i]);
    size += std::abs(b[i]);
  }
  return difference / size;
}

struct Format {
  const char* name;
  double tolerance;
};

void PrintTo(const Format& format, std::ostream* stream) { *stream << format.name; }

class Library : public testing::TestWithParam<Format> {};

TEST_P(Library, LogitsAreThoseOfTransformers) {
  const std::string folder = golden(GetParam().name).string();
  NamedTensors expected = load_tensors(folder + "/expected.safetensors");
  Model model = Model::open(folder, {.dtype = DType::kF32});
  const NamedTensors outputs = model.run({{"input_ids", expected.at("input_ids")}});
  EXPECT_LT(mean_difference(floats(outputs.at("logits")), floats(expected.at("logits"))),
            GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Library,
    testing::Values(Format{"pack-int4-group", 1e-5}, Format{"pack-int4-asymmetric", 1e-5},
                    Format{"pack-int8-channel", 1e-5}, Format{"pack-int2-group", 1e-5},
                    Format{"pack-int4-tensor-asymmetric", 1e-5}, Format{"pack-int3-group", 1e-5},
                    Format{"pack-int3-asymmetric", 1e-5}, Format{"fp8-tensor", 1e-5},
                    Format{"fp8-weights", 1e-5}, Format{"mxfp4", 1e-5}, Format{"mxfp6", 1e-5},
                    Format{"mxfp8", 1e-5},
                    // Inputs that are scaled as they come may round to the other side.
                    Format{"fp8-token", 1e-3}, Format{"fp8-block", 1e-3}, Format{"nvfp4", 1e-3},
                    Format{"pack-int4-fp8-token", 1e-3}, Format{"int4-token", 0.05},
                    Format{"int8-token", 0.05}, Format{"int8-asymmetric", 0.05}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });

/// The quantizers get the scales that the file can hold: what is read back is what was there.
TEST(CompressedTensorsExport, TheModelAndTheFolderAgree) {
  for (const char* preset : {"FP8_DEFAULT_CFG", "INT8_DEFAULT_CFG", "NVFP4_DEFAULT_CFG"}) {
    Model model = quantized_model({"llama", preset, "fp8"}, true);
    const auto folder = scratch_folder("compressed");
    export_checkpoint(model, folder.string(), {.dialect = "compressed-tensors"});
    Model written = Model::open(folder.string());
    const NamedTensors inputs = golden_tensors("llama", "eval.safetensors");
    const NamedTensors ids = {{"input_ids", inputs.at("input_ids")}};
    EXPECT_EQ(floats(model.run(ids).at("logits")), floats(written.run(ids).at("logits"))) << preset;
    std::filesystem::remove_all(folder);
  }
}

}  // namespace
}  // namespace lathe::parity
