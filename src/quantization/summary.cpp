#include "quantization/summary.h"

#include <algorithm>

namespace lathe::quantization {

std::string amax_text(const std::vector<float>& amax) {
  if (amax.empty()) return "none";
  if (amax.size() == 1) return fmt::format("{:.6g}", amax[0]);
  const auto [low, high] = std::minmax_element(amax.begin(), amax.end());
  return fmt::format("[{:.6g}, {:.6g}] of {}", *low, *high, amax.size());
}

std::string summary(const Conversion& conversion) {
  const std::vector<TensorQuantizer*> quantizers = conversion.quantizers();
  size_t width = 0;
  for (const TensorQuantizer* quantizer : quantizers)
    width = std::max(width, quantizer->name().size());
  std::string text;
  int64_t enabled = 0;
  for (const TensorQuantizer* quantizer : quantizers) {
    const bool on = quantizer->enabled();
    enabled += on;
    text += fmt::format("{:{}}  {}{}\n", quantizer->name(), width, quantizer->describe(),
                        on ? ", amax " + amax_text(quantizer->amax()) : "");
  }
  return text + fmt::format("{} quantizers, {} enabled\n", quantizers.size(), enabled);
}

}  // namespace lathe::quantization
