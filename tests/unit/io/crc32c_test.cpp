#include "io/crc32c.h"

#include <numeric>

#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

std::string ramp(size_t count) {
  std::string text(count, '\0');
  for (size_t i = 0; i < count; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  return text;
}

/// RFC 3720, appendix B.4, and the check value of the CRC catalogues.
TEST(Crc32c, StandardVectors) {
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\xff'))), 0x62a8ab43u);
  std::string up(32, '\0');
  std::iota(up.begin(), up.end(), '\0');
  EXPECT_EQ(crc32c(bytes_of(up)), 0x46dd794eu);
}

/// Every implementation gives the value of the bit-by-bit definition, for every length and
/// alignment.
TEST(Crc32c, ImplementationsAgree) {
  const std::string text = ramp(100);
  for (const Crc32cImplementation& implementation : crc32c_implementations()) {
    for (size_t begin = 0; begin < 9; ++begin) {
      for (size_t size = 0; size + begin <= text.size(); ++size) {
        const auto bytes = bytes_of(text).subspan(begin, size);
        uint32_t expected = 0x12345678;
        for (const std::byte byte : bytes) {
          expected ^= static_cast<uint32_t>(byte);
          for (int bit = 0; bit < 8; ++bit)
            expected = (expected >> 1) ^ ((expected & 1u) ? 0x82f63b78u : 0u);
        }
        ASSERT_EQ(implementation.update(0x12345678, bytes.data(), bytes.size()), expected)
            << implementation.name;
      }
    }
  }
}

/// Pieces in any order give the checksum of the whole.
TEST(Crc32c, Piecewise) {
  const std::string text = ramp(1000);
  for (const std::vector<size_t>& cuts :
       std::vector<std::vector<size_t>>{{0, 1000}, {0, 1, 1000}, {0, 333, 512, 999, 1000}}) {
    PiecewiseCrc32c crc(text.size());
    for (size_t i = cuts.size() - 1; i > 0; --i) {
      crc.add(crc.contribution(cuts[i - 1],
                               bytes_of(text).subspan(cuts[i - 1], cuts[i] - cuts[i - 1])));
    }
    EXPECT_EQ(crc.value(), crc32c(bytes_of(text)));
  }
  EXPECT_EQ(PiecewiseCrc32c(0).value(), crc32c({}));
}

}  // namespace
}  // namespace lathe::io
