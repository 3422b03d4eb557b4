#include "quantization/kv_cache.h"

namespace lathe::quantization {

float kv_cache_scale(float amax) {
  return formats::scale_from_amax(amax, formats::max_bound(formats::kE4M3));
}

formats::Scales kv_quantizer_scales(const formats::Format& format, float cache_scale) {
  if (format.scale == formats::ScaleKind::kE4M3TwoLevel) {
    return formats::Scales::make(format.scale, 0, cache_scale / formats::max_bound(format.element));
  }
  formats::Scales scales = formats::Scales::make(format.scale, 1);
  scales.values[0] = cache_scale;
  return scales;
}

}  // namespace lathe::quantization
