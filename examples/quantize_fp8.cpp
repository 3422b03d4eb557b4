// Quantizes a language model to FP8 by the C++ API:
//
//   quantize_fp8 MODEL OUT [DATA]
//
// DATA is what calibrates and evaluates: .txt, .jsonl, .safetensors, .npy, or "builtin", which is
// the default.

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "lathe/lathe.h"

namespace {

constexpr const char* kConfig = R"({
  "quant_cfg": {"*weight_quantizer": {"num_bits": 8, "format": "fp8"},
                "*input_quantizer": {"num_bits": 8, "format": "fp8"},
                "*lm_head*": {"enable": false},
                "default": {"enable": false}},
  "algorithm": "max"
})";
constexpr int64_t kBatch = 4;

/// Blocks [first, first + count) as the tensor that the model takes.
lathe::NamedTensors batch_of(const lathe::TokenBlocks& data, int64_t first, int64_t count) {
  const auto begin = data.ids.begin() + first * data.seq_len;
  std::vector<int64_t> ids(begin, begin + count * data.seq_len);
  return {{"input_ids", lathe::Tensor::of(std::move(ids), {count, data.seq_len})}};
}

void quantize_fp8(const std::string& model_path, const std::string& output,
                  const std::string& data_path) {
  auto model = lathe::Model::open(model_path);
  const auto data = lathe::load_tokens(data_path, model, {.samples = 16, .seq_len = 0});

  const auto config = lathe::QuantizeConfig::from_text(kConfig);
  lathe::quantize(model, config, [&](lathe::Model& calibrated) {
    for (int64_t first = 0; first < data.samples; first += kBatch) {
      calibrated(batch_of(data, first, std::min(kBatch, data.samples - first)));
    }
  });
  lathe::print_quant_summary(model, std::cout);

  auto original = lathe::Model::open(model_path);
  const auto evaluation = lathe::evaluate(model, data, &original);
  std::cout << "perplexity " << evaluation.perplexity << " +/- " << evaluation.perplexity_error
            << ", KL divergence " << evaluation.divergence->mean << "\n";

  const auto written = lathe::export_checkpoint(model, output);
  std::cout << "wrote " << written.folder << ": " << written.bytes << " bytes, "
            << written.bits_per_weight << " bits per weight\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::cerr << "usage: quantize_fp8 MODEL OUT [DATA]\n";
    return 2;
  }
  try {
    lathe::start_logging();
    quantize_fp8(argv[1], argv[2], argc > 3 ? argv[3] : "builtin");
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
