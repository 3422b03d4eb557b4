#include "quantization/shape_problems.h"

#include <fmt/ranges.h>

namespace lathe::quantization {
namespace {

/// Whether `size` is whole blocks of `block` (0: the whole extent).
bool fits(int64_t size, int64_t block) { return block <= 0 || size % block == 0; }

/// 2-D blocks at the edges are smaller where the weight ends.
bool may_be_cut(const formats::Format& format) {
  return format.block.rows > 1 && format.scale == formats::ScaleKind::kFloat32;
}

std::string block_text(const formats::BlockShape& block) {
  return block.rows > 1 ? fmt::format("blocks of {} x {}", block.rows, block.cols)
                        : fmt::format("blocks of {}", block.cols);
}

}  // namespace

std::vector<std::string> shape_problems(const Conversion& conversion) {
  std::vector<std::string> problems;
  for (const QuantizedLayer& layer : conversion.layers) {
    if (!layer.weight->enabled()) continue;
    const std::vector<int64_t>& shape = layer.parameter()->shape();
    const formats::BlockShape block = layer.weight->format().format.block;
    if (layer.weight->channel_axis()) continue;  // by tensor or channel
    const int64_t k = shape.empty() ? 1 : shape.back();
    const int64_t rows = shape.size() < 2 ? 1 : shape[shape.size() - 2];
    if (may_be_cut(layer.weight->format().format)) continue;
    if (fits(k, block.cols) && fits(rows, block.rows)) continue;
    problems.push_back(fmt::format("{}: the weight [{}] does not divide into {} ({})", layer.path,
                                   fmt::join(shape, ", "), block_text(block),
                                   layer.weight->describe()));
  }
  return problems;
}

}  // namespace lathe::quantization
