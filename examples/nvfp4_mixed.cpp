// NVFP4 weights beside FP8 inputs in the linear layers of a language model, by the C++ API:
//
//   nvfp4_mixed MODEL OUT [DATA]

#include <exception>
#include <iostream>

#include "lathe/lathe.h"

namespace {

// Wildcards as keys; `default` is what holds for quantizers that no other key matches.
constexpr const char* kConfig = R"({
  "quant_cfg": {
    "*proj*weight_quantizer": {"num_bits": [2, 1],
                               "block_sizes": {"-1": 16, "type": "dynamic", "scale_bits": [4, 3]}},
    "*proj*input_quantizer": {"num_bits": [4, 3], "axis": null},
    "default": {"enable": false}
  },
  "algorithm": "max"
})";

void quantize_mixed(const std::string& path, const std::string& output, const std::string& data) {
  auto model = lathe::Model::open(path);
  const auto tokens = lathe::load_tokens(data, model, {.samples = 4, .seq_len = 0});
  lathe::quantize(model, lathe::QuantizeConfig::from_text(kConfig), [&](lathe::Model& calibrated) {
    calibrated({{"input_ids", lathe::Tensor::of(tokens.ids, {tokens.samples, tokens.seq_len})}});
  });
  lathe::print_quant_summary(model, std::cout);
  const auto written = lathe::export_checkpoint(model, output);
  std::cout << "wrote " << written.folder << ": " << written.bits_per_weight
            << " bits per weight\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: nvfp4_mixed MODEL OUT [DATA]\n";
    return 2;
  }
  try {
    quantize_mixed(argv[1], argv[2], argc > 3 ? argv[3] : "builtin");
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
