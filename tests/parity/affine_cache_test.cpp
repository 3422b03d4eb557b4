// Affine KV caches. Lathe's bias is the mean over all tokens, rounded once, and its scale that of
// the largest value around it, whatever the batches are. The peer's bias is a mean of the batches'
// means, rounded to bfloat16 after each, and its scale that of what lay around the mean so far. Of
// one batch both are the same.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "parity/golden_preset.h"

namespace lathe::parity {
namespace {

constexpr const char* kCaches[] = {"FP8_AFFINE_KV_CFG", "NVFP4_AFFINE_KV_CFG"};
constexpr const char* kPerLayer[] = {"k_proj.k_bias", "v_proj.v_bias", "k_proj.k_scale",
                                     "v_proj.v_scale"};

/// What the peer made of the golden calibration data, by "one_batch." or "four_batches." and the
/// tensor's name.
NamedTensors golden_caches() { return golden_tensors("llama", "affine_caches.safetensors"); }

/// A checkpoint whose cache was calibrated with the golden data in so many batches.
NamedTensors exported(const std::string& cache, int64_t batches) {
  set_threads(1);
  const Tensor ids = golden_tensors("llama", "calib.safetensors").at("input_ids");
  const int64_t rows = ids.shape()[0] / batches;
  const int64_t length = ids.shape()[1];
  std::vector<int64_t> values(static_cast<size_t>(ids.numel()));
  std::memcpy(values.data(), ids.data(), ids.bytes());
  Model model = Model::open((golden_folder("llama") / "base").string());
  QuantizeConfig config = QuantizeConfig::from_preset("FP8_DEFAULT_CFG");
  config.add_kv_cache(cache);
  quantize(model, config, [&](Model& observed) {
    for (auto begin = values.begin(); begin != values.end(); begin += rows * length)
      observed({{"input_ids",
                 Tensor::of(std::vector<int64_t>(begin, begin + rows * length), {rows, length})}});
  });
  const auto folder = scratch_folder("affine");
  export_checkpoint(model, folder.string());
  NamedTensors tensors = load_tensors((folder / "model.safetensors").string());
  std::filesystem::remove_all(folder);
  return tensors;
}

std::string in_layer(int layer, const char* tensor) {
  return "model.layers." + std::to_string(layer) + ".self_attn." + tensor;
}

/// max |a - b| / max |b|
float distance(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = floats(a);
  const std::vector<float> y = floats(b);
  float difference = 0;
  float largest = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    difference = std::max(difference, std::abs(x.at(i) - y[i]));
    largest = std::max(largest, std::abs(y[i]));
  }
  return difference / largest;
}

bool is_bias(const char* name) { return std::strstr(name, "bias") != nullptr; }

/// The peer subtracts the bias in bfloat16.
constexpr float kHalfBf16Step = 1.0f / 256;
/// Its activations of the second layer are rounded elsewhere: its own two ways to run an attention
/// are this far apart.
constexpr float kActivations = 0.01f;

TEST(AffineCache, OfOneBatchIsThePeers) {
  const NamedTensors golden = golden_caches();
  for (const char* cache : kCaches) {
    const NamedTensors ours = exported(cache, 1);
    for (const char* name : kPerLayer) {
      const std::string first = in_layer(0, name);
      const Tensor& tensor = golden.at("one_batch." + first);
      ASSERT_EQ(ours.at(first).dtype(), tensor.dtype()) << first;
      ASSERT_EQ(ours.at(first).shape(), tensor.shape()) << first;
      EXPECT_LE(distance(ours.at(first), tensor), is_bias(name) ? 0 : kHalfBf16Step) << first;
      const std::string second = in_layer(1, name);
      EXPECT_LE(distance(ours.at(second), golden.at("one_batch." + second)), kActivations)
          << second;
    }
  }
}

TEST(AffineCache, DoesNotDependOnTheBatches) {
  for (const char* cache : kCaches) {
    const NamedTensors one = exported(cache, 1);
    const NamedTensors four = exported(cache, 4);
    for (const char* name : kPerLayer) {
      const std::string first = in_layer(0, name);
      EXPECT_EQ(distance(one.at(first), four.at(first)), 0) << first;
    }
  }
}

/// The intended difference: how far the peer's tensors of four batches are from those of one.
TEST(AffineCache, OfSeveralBatchesIsNearThePeers) {
  const NamedTensors golden = golden_caches();
  for (const char* cache : kCaches) {
    const NamedTensors ours = exported(cache, 4);
    float farthest = 0;
    for (int layer = 0; layer < 2; ++layer) {
      for (const char* name : kPerLayer) {
        const std::string tensor = in_layer(layer, name);
        const float apart = distance(ours.at(tensor), golden.at("four_batches." + tensor));
        EXPECT_LE(apart, is_bias(name) ? 0.02f : 0.05f) << tensor;
        farthest = std::max(farthest, apart);
      }
    }
    EXPECT_GT(farthest, 0) << "then the table of intended differences is wrong";
  }
}

}  // namespace
}  // namespace lathe::parity
