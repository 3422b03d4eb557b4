#include "io/ggml_blocks.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/float16.h"
#include "base/parallel.h"

namespace lathe::io {
namespace {

constexpr GgmlTypeInfo kTypes[] = {
    {GgmlType::kF32, "F32", 1, 4},       {GgmlType::kF16, "F16", 1, 2},
    {GgmlType::kQ4_0, "Q4_0", 32, 18},   {GgmlType::kQ4_1, "Q4_1", 32, 20},
    {GgmlType::kQ5_0, "Q5_0", 32, 22},   {GgmlType::kQ5_1, "Q5_1", 32, 24},
    {GgmlType::kQ8_0, "Q8_0", 32, 34},   {GgmlType::kQ4_K, "Q4_K", 256, 144},
    {GgmlType::kQ5_K, "Q5_K", 256, 176}, {GgmlType::kQ6_K, "Q6_K", 256, 210},
    {GgmlType::kI8, "I8", 1, 1},         {GgmlType::kI16, "I16", 1, 2},
    {GgmlType::kI32, "I32", 1, 4},       {GgmlType::kI64, "I64", 1, 8},
    {GgmlType::kF64, "F64", 1, 8},       {GgmlType::kBF16, "BF16", 1, 2},
};

/// Names of the types that Lathe does not read, by number.
constexpr std::pair<uint32_t, std::string_view> kOtherNames[] = {
    {9, "Q8_1"},     {10, "Q2_K"},  {11, "Q3_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
    {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"},
    {29, "IQ1_M"},   {34, "TQ1_0"}, {35, "TQ2_0"},  {39, "MXFP4"}};

using Byte = uint8_t;

uint16_t read_u16(const Byte* at) {
  uint16_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint32_t read_u32(const Byte* at) {
  uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float read_f16(const Byte* at) { return float_from_f16(read_u16(at)); }

// One decoder for each format: one block in, its elements out. Products and sums are rounded one by
// one, in ggml's order, so that the values are the ones that ggml computes.

void decode_q4_0(const Byte* block, float* out) {
  const float d = read_f16(block);
  const Byte* q = block + 2;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((q[i] & 15) - 8) * d;
    out[i + 16] = static_cast<float>((q[i] >> 4) - 8) * d;
  }
}

void decode_q4_1(const Byte* block, float* out) {
  const float d = read_f16(block);
  const float m = read_f16(block + 2);
  const Byte* q = block + 4;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(q[i] & 15) * d + m;
    out[i + 16] = static_cast<float>(q[i] >> 4) * d + m;
  }
}

/// The fifth bits of the 32 values are one number, bit i that of value i.
int fifth_bit(uint32_t bits, int i) { return static_cast<int>((bits >> i) & 1u) << 4; }

void decode_q5_0(const Byte* block, float* out) {
  const float d = read_f16(block);
  const uint32_t high = read_u32(block + 2);
  const Byte* q = block + 6;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(((q[i] & 15) | fifth_bit(high, i)) - 16) * d;
    out[i + 16] = static_cast<float>(((q[i] >> 4) | fifth_bit(high, i + 16)) - 16) * d;
  }
}

void decode_q5_1(const Byte* block, float* out) {
  const float d = read_f16(block);
  const float m = read_f16(block + 2);
  const uint32_t high = read_u32(block + 4);
  const Byte* q = block + 8;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((q[i] & 15) | fifth_bit(high, i)) * d + m;
    out[i + 16] = static_cast<float>((q[i] >> 4) | fifth_bit(high, i + 16)) * d + m;
  }
}

void decode_q8_0(const Byte* block, float* out) {
  const float d = read_f16(block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * d;
}

struct ScaleAndMin {
  float scale;
  float min;
};

/// Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima in 12 bytes. The first four of each lie
/// in the low six bits of bytes 0..3 and 4..7; the others in the nibbles of bytes 8..11 and the two
/// high bits of bytes 0..7.
ScaleAndMin scale_and_min(const Byte* packed, int i) {
  if (i < 4) return {static_cast<float>(packed[i] & 63), static_cast<float>(packed[i + 4] & 63)};
  return {static_cast<float>((packed[i + 4] & 15) | ((packed[i - 4] >> 6) << 4)),
          static_cast<float>((packed[i + 4] >> 4) | ((packed[i] >> 6) << 4))};
}

void decode_q4_k(const Byte* block, float* out) {
  const float d = read_f16(block);
  const float dmin = read_f16(block + 2);
  const Byte* q = block + 16;
  for (int group = 0; group < 8; ++group, out += 32) {
    const auto [scale, min] = scale_and_min(block + 4, group);
    const float step = d * scale;
    const float offset = dmin * min;
    const Byte* low = q + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i)
      out[i] = step * static_cast<float>((low[i] >> shift) & 15) - offset;
  }
}

void decode_q5_k(const Byte* block, float* out) {
  const float d = read_f16(block);
  const float dmin = read_f16(block + 2);
  const Byte* high = block + 16;
  const Byte* q = block + 48;
  for (int group = 0; group < 8; ++group, out += 32) {
    const auto [scale, min] = scale_and_min(block + 4, group);
    const float step = d * scale;
    const float offset = dmin * min;
    const Byte* low = q + group / 2 * 32;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int value = ((low[i] >> shift) & 15) | (((high[i] >> group) & 1) << 4);
      out[i] = step * static_cast<float>(value) - offset;
    }
  }
}

void decode_q6_k(const Byte* block, float* out) {
  const Byte* low = block;
  const Byte* high = block + 128;
  const Byte* scales = block + 192;
  const float d = read_f16(block + 208);
  // Two halves of 128 values; in each, four groups of 32 share 64 bytes of low nibbles and 32 bytes
  // of bit pairs.
  for (int group = 0; group < 8; ++group, out += 32) {
    const Byte* nibbles = low + group / 4 * 64 + group % 2 * 32;
    const Byte* pairs = high + group / 4 * 32;
    const int nibble_shift = group % 4 / 2 * 4;
    const int pair_shift = group % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const float step = d * static_cast<float>(static_cast<int8_t>(scales[group * 2 + half]));
      for (int i = half * 16; i < half * 16 + 16; ++i) {
        const int value =
            ((nibbles[i] >> nibble_shift) & 15) | (((pairs[i] >> pair_shift) & 3) << 4);
        out[i] = step * static_cast<float>(value - 32);
      }
    }
  }
}

void decode_f32(const Byte* block, float* out) { std::memcpy(out, block, sizeof *out); }
void decode_f16(const Byte* block, float* out) { *out = read_f16(block); }
void decode_bf16(const Byte* block, float* out) { *out = float_from_bf16(read_u16(block)); }

/// Consecutive blocks.
template <auto kDecodeBlock, int64_t kElements, size_t kBytes>
void decode_blocks(const Byte* blocks, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    kDecodeBlock(blocks, out);
    blocks += kBytes;
    out += kElements;
  }
}

using Decoder = void (*)(const Byte* blocks, int64_t count, float* out);

Decoder decoder_of(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return decode_blocks<decode_f32, 1, 4>;
    case GgmlType::kF16:
      return decode_blocks<decode_f16, 1, 2>;
    case GgmlType::kBF16:
      return decode_blocks<decode_bf16, 1, 2>;
    case GgmlType::kQ4_0:
      return decode_blocks<decode_q4_0, 32, 18>;
    case GgmlType::kQ4_1:
      return decode_blocks<decode_q4_1, 32, 20>;
    case GgmlType::kQ5_0:
      return decode_blocks<decode_q5_0, 32, 22>;
    case GgmlType::kQ5_1:
      return decode_blocks<decode_q5_1, 32, 24>;
    case GgmlType::kQ8_0:
      return decode_blocks<decode_q8_0, 32, 34>;
    case GgmlType::kQ4_K:
      return decode_blocks<decode_q4_k, 256, 144>;
    case GgmlType::kQ5_K:
      return decode_blocks<decode_q5_k, 256, 176>;
    case GgmlType::kQ6_K:
      return decode_blocks<decode_q6_k, 256, 210>;
    default:
      return nullptr;
  }
}

/// Calls body(decoder, info, first, count) in parallel for runs of blocks; checks sizes before.
template <typename Body>
void for_block_runs(GgmlType type, size_t bytes, size_t elements, const Body& body) {
  constexpr int64_t kElementsPerRun = 1 << 14;
  const GgmlTypeInfo info = ggml_type_info(type);
  const Decoder decoder = decoder_of(type);
  if (decoder == nullptr) throw_data("cannot decode tensors of type {}", info.name);
  const size_t count = bytes / info.block_bytes;
  if (bytes % info.block_bytes != 0 ||
      elements != count * static_cast<size_t>(info.block_elements)) {
    throw_data("{} bytes of {} blocks do not hold {} elements", bytes, info.name, elements);
  }
  const int64_t grain = kElementsPerRun / info.block_elements;
  parallel_for(0, static_cast<int64_t>(count), grain,
               [&](int64_t begin, int64_t end) { body(decoder, info, begin, end - begin); });
}

const Byte* block_at(std::span<const std::byte> blocks, const GgmlTypeInfo& info, int64_t index) {
  return reinterpret_cast<const Byte*>(blocks.data()) +
         static_cast<size_t>(index) * info.block_bytes;
}

}  // namespace

std::optional<GgmlTypeInfo> ggml_type_info(uint32_t number) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == number) return info;
  }
  return std::nullopt;
}

GgmlTypeInfo ggml_type_info(GgmlType type) {
  const auto info = ggml_type_info(static_cast<uint32_t>(type));
  check_internal(info.has_value(), "unknown GgmlType {}", static_cast<uint32_t>(type));
  return *info;
}

std::string_view ggml_type_name(uint32_t number) {
  if (const auto info = ggml_type_info(number)) return info->name;
  for (const auto& [other, name] : kOtherNames) {
    if (other == number) return name;
  }
  return "unknown";
}

bool can_dequantize(GgmlType type) { return decoder_of(type) != nullptr; }

void dequantize(GgmlType type, std::span<const std::byte> blocks, std::span<float> out) {
  for_block_runs(type, blocks.size(), out.size(),
                 [&](Decoder decoder, const GgmlTypeInfo& info, int64_t first, int64_t count) {
                   decoder(block_at(blocks, info, first), count,
                           out.data() + first * info.block_elements);
                 });
}

void dequantize_bf16(GgmlType type, std::span<const std::byte> blocks, std::span<uint16_t> out) {
  constexpr int64_t kBuffer = 4096;
  for_block_runs(type, blocks.size(), out.size(),
                 [&](Decoder decoder, const GgmlTypeInfo& info, int64_t first, int64_t count) {
                   std::array<float, kBuffer> values;
                   const int64_t step = kBuffer / info.block_elements;
                   for (int64_t i = first; i < first + count; i += step) {
                     const int64_t blocks_here = std::min(step, first + count - i);
                     decoder(block_at(blocks, info, i), blocks_here, values.data());
                     std::transform(values.begin(),
                                    values.begin() + blocks_here * info.block_elements,
                                    out.data() + i * info.block_elements, bf16_from_float);
                   }
                 });
}

}  // namespace lathe::io
