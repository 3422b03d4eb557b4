#include <algorithm>

#include "quantization/config/attributes.h"

namespace lathe::quantization {

namespace {

BlockSizes last_axis(int64_t size, bool dynamic, std::optional<NumBits> scale_bits) {
  return {.sizes = {{-1, size}}, .dynamic = dynamic, .scale_bits = scale_bits};
}

/// OCP microscaling: blocks of 32 with E8M0 scales.
QuantizerAttributes microscaling(NumBits num_bits) {
  return {.num_bits = num_bits, .block_sizes = last_axis(32, true, kE8M0)};
}

QuantizerAttributes nvfp4(int64_t block_size, bool dynamic) {
  return {.num_bits = kE2M1, .block_sizes = last_axis(block_size, dynamic, kE4M3)};
}

std::vector<NumberFormat> make_number_formats() {
  const QuantizerAttributes int4 = {.num_bits = NumBits::integer(4),
                                    .block_sizes = last_axis(128, false, std::nullopt)};
  QuantizerAttributes nvfp4_default = nvfp4(16, true);
  nvfp4_default.effective_bits = 4.5;
  QuantizerAttributes four_over_six = nvfp4(16, false);
  four_over_six.block_sizes->four_over_six = true;
  return {
      {"fp8", {.num_bits = kE4M3}},
      {"int8", {.num_bits = NumBits::integer(8)}},
      {"int8_per_channel", {.num_bits = NumBits::integer(8), .axis = {0}}},
      {"int4_per_block", int4},
      {"int4", int4},
      {"mxfp8", microscaling(kE4M3)},
      {"mxfp6", microscaling(kE3M2)},
      {"mxfp4", microscaling(kE2M1)},
      {"mxint8", microscaling(NumBits::integer(8))},
      {"nvfp4", nvfp4_default},
      {"nvfp4_bs32", nvfp4(32, true)},
      {"nvfp4_static", nvfp4(16, false)},
      {"nvfp4_four_over_six", four_over_six},
  };
}

}  // namespace

const std::vector<NumberFormat>& number_formats() {
  static const std::vector<NumberFormat> formats = make_number_formats();
  return formats;
}

const NumberFormat* find_number_format(std::string_view name) {
  const auto& formats = number_formats();
  const auto found = std::find_if(formats.begin(), formats.end(),
                                  [&](const NumberFormat& format) { return format.name == name; });
  return found == formats.end() ? nullptr : &*found;
}

}  // namespace lathe::quantization
