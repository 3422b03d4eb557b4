#include "io/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace lathe::io {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected: bit 31 is x^0

using Tables = std::array<std::array<uint32_t, 256>, 8>;

/// tables[k][b]: the remainder of byte b followed by k zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) ? kPolynomial : 0u);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xffu];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

/// The remainder of state * x^(8 * size) + bytes: no initial value, no final inversion. Slicing
/// by 8.
uint32_t raw_crc_portable(uint32_t state, const std::byte* data, size_t size) {
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, data, 8);
    word ^= state;
    state = 0;
    for (size_t k = 0; k < 8; ++k) state ^= kTables[7 - k][(word >> (8 * k)) & 0xffu];
  }
  for (; size > 0; ++data, --size) {
    state = (state >> 8) ^ kTables[0][(state ^ static_cast<uint32_t>(*data)) & 0xffu];
  }
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t raw_crc_sse42(uint32_t state, const std::byte* data,
                                                         size_t size) {
  uint64_t wide = state;
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  state = static_cast<uint32_t>(wide);
  for (; size > 0; ++data, --size) state = _mm_crc32_u8(state, static_cast<uint8_t>(*data));
  return state;
}
#endif

constexpr Crc32cImplementation kImplementations[] = {
#if defined(__x86_64__)
    {"SSE4.2", raw_crc_sse42},
#endif
    {"portable", raw_crc_portable},
};

uint32_t raw_crc(uint32_t state, std::span<const std::byte> bytes) {
  return crc32c_implementations().front().update(state, bytes.data(), bytes.size());
}

/// a * b modulo the polynomial, bits reflected.
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ ((b & 1u) ? kPolynomial : 0u);
  }
  return product;
}

/// crc * x^(8 * bytes): the remainder after `bytes` zero bytes.
uint32_t shift(uint32_t crc, size_t bytes) {
  uint32_t power = 0x00800000u;  // x^8
  for (; bytes != 0; bytes >>= 1) {
    if (bytes & 1u) crc = multiply(crc, power);
    power = multiply(power, power);
  }
  return crc;
}

}  // namespace

std::span<const Crc32cImplementation> crc32c_implementations() {
  const std::span all(kImplementations);
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("sse4.2")) return all.subspan(1);
#endif
  return all;
}

uint32_t crc32c(std::span<const std::byte> bytes) { return ~raw_crc(0xffffffffu, bytes); }

uint32_t PiecewiseCrc32c::contribution(size_t offset, std::span<const std::byte> piece) const {
  return shift(raw_crc(0, piece), total_ - offset - piece.size());
}

uint32_t PiecewiseCrc32c::value() const { return ~(sum_ ^ shift(0xffffffffu, total_)); }

}  // namespace lathe::io
