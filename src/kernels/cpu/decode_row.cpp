#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/decode_row.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/elements-inl.h"
#include "kernels/cpu/rows.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

template <class IO, class Lanes>
HWY_INLINE void decode_block(const Lanes& lanes, const uint8_t* codes, int64_t count, VPair scale,
                             typename IO::T* y) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    IO::store_pair(decode_pair(lanes, load_code_pair<IO>(codes + i), scale), y + i);
  }
  if (i < count) {
    const auto left = static_cast<size_t>(count - i);
    uint8_t rest_codes[2 * kMaxLanes] = {};
    typename IO::T rest[2 * kMaxLanes];
    std::memcpy(rest_codes, codes + i, left);
    IO::store_pair(decode_pair(lanes, load_code_pair<IO>(rest_codes), scale), rest);
    std::memcpy(y + i, rest, left * sizeof(typename IO::T));
  }
}

void decode_row(formats::Element element, const uint8_t* codes, int64_t block, const float* scales,
                MutableElements y) {
  with_dtype(y.dtype, [&](auto io) HWY_ATTR {
    using IO = decltype(io);
    auto* to = static_cast<typename IO::T*>(y.data);
    with_element(element, [&](const auto& lanes) HWY_ATTR {
      for_each_block<IO>(y.count, block, scales,
                         [&](int64_t i, int64_t count, VPair scale) HWY_ATTR {
                           decode_block<IO>(lanes, codes + i, count, scale, to + i);
                         });
    });
  });
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {
HWY_EXPORT(decode_row);

void decode_row(formats::Element element, const uint8_t* codes, int64_t block, const float* scales,
                MutableElements y) {
  HWY_DYNAMIC_DISPATCH(decode_row)(element, codes, block, scales, y);
}
}  // namespace lathe::kernels
#endif
