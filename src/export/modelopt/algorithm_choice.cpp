#include "export/modelopt/algorithm_choice.h"

#include <algorithm>

namespace lathe::exporting {
namespace {

/// Whether two layers would be stored alike if they agreed about pre_quant_scale.
bool same_formats(const LayerScheme& a, const LayerScheme& b) {
  if (a.input.has_value() != b.input.has_value() || a.input_dynamic != b.input_dynamic) {
    return false;
  }
  return same_storage(a.weight, b.weight) && (!a.input || same_storage(*a.input, *b.input));
}

}  // namespace

AlgorithmChoice::AlgorithmChoice(std::span<const LayerScheme> layers) {
  for (const LayerScheme& layer : layers) add(layer);
}

AlgorithmChoice::AlgorithmChoice(std::span<const PlannedLayer> layers) {
  for (const PlannedLayer& layer : layers) add(layer.scheme);
}

void AlgorithmChoice::add(const LayerScheme& layer) {
  if (layer.pre_quant_scale && !is_scaled(layer)) scaled_.push_back(&layer);
}

const Algorithm* AlgorithmChoice::operator()(const LayerScheme& layer) const {
  return find_algorithm(layer, is_scaled(layer));
}

bool AlgorithmChoice::is_scaled(const LayerScheme& layer) const {
  return std::ranges::any_of(scaled_,
                             [&](const LayerScheme* other) { return same_formats(*other, layer); });
}

}  // namespace lathe::exporting
