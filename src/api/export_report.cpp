#include "api/export_report.h"

#include <unordered_set>

namespace lathe::api {
namespace {

/// All weights, and the bytes that stand for them, of the whole checkpoint.
double bits_per_weight(const exporting::CheckpointPlan& plan) {
  std::unordered_set<std::string> quantized;  // modules, and tensors that hold several
  double weights = 0;
  for (const exporting::PlannedLayer& layer : plan.layers()) {
    weights += static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    quantized.insert(layer.scheme.path);
    if (!layer.is_fused()) continue;
    for (io::TensorSpec& tensor : layer.tensors()) quantized.insert(std::move(tensor.name));
  }
  for (const io::PlannedTensor& tensor : plan.layout().tensors) {
    if (!quantized.contains(tensor.name.substr(0, tensor.name.rfind('.'))) &&
        !quantized.contains(tensor.name))
      weights += static_cast<double>(tensor.bytes / dtype_size(tensor.dtype));
  }
  return weights == 0 ? 0 : 8.0 * static_cast<double>(plan.layout().total_bytes) / weights;
}

}  // namespace

double bits_per_quantized_weight(const exporting::CheckpointPlan& plan) {
  double weights = 0;
  double bits = 0;
  for (const exporting::PlannedLayer& layer : plan.layers()) {
    const double count = static_cast<double>(layer.rows) * static_cast<double>(layer.cols);
    weights += count;
    bits += count * formats::bits_per_weight(layer.scheme.weight);
  }
  return weights == 0 ? 0 : bits / weights;
}

ExportReport export_report(const exporting::CheckpointPlan& plan, const std::string& folder) {
  using exporting::Fate;
  const exporting::Books& books = plan.books();
  return {
      .folder = folder,
      .quantized_tensors = static_cast<int64_t>(plan.layers().size()),
      .copied_tensors = books.total(Fate::kCopied).tensors,
      .dropped_tensors = books.total(Fate::kDropped).tensors + books.total(Fate::kMerged).tensors,
      .bytes = static_cast<int64_t>(plan.layout().total_bytes),
      .bits_per_weight = bits_per_weight(plan)};
}

}  // namespace lathe::api
