#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lathe::io {

/// CRC-32C (Castagnoli; RFC 3720 appendix B.4) of a whole.
uint32_t crc32c(std::span<const std::byte> bytes);

/// One way of computing it on this processor. `update` continues a remainder, without initial value
/// and inversion.
struct Crc32cImplementation {
  std::string_view name;
  uint32_t (*update)(uint32_t remainder, const std::byte* data, size_t size);
};

/// Those that run here, the fastest first.
std::span<const Crc32cImplementation> crc32c_implementations();

/// CRC-32C of something that comes in pieces, in any order: CRC is linear over GF(2), so each piece
/// contributes its own CRC, shifted by the number of bytes that follow it.
class PiecewiseCrc32c {
 public:
  /// `total`: bytes of the whole.
  explicit PiecewiseCrc32c(size_t total) : total_(total) {}

  /// What the piece at `offset` contributes: a pure function, to be computed outside a lock.
  uint32_t contribution(size_t offset, std::span<const std::byte> piece) const;
  /// Adds a contribution; each byte of the whole must come exactly once.
  void add(uint32_t contribution) { sum_ ^= contribution; }

  /// The CRC of the whole, once all pieces were added.
  uint32_t value() const;

 private:
  size_t total_;
  uint32_t sum_ = 0;
};

}  // namespace lathe::io
