#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"

namespace lathe {

/// Calls parse(bytes) for one input of libFuzzer. A DataError is what a malformed input should
/// give; any other exception, a sanitizer's report, a time-out or running out of memory is a
/// finding.
template <typename Parse>
int fuzz_bytes(const uint8_t* data, size_t size, const Parse& parse) {
  try {
    parse(std::as_bytes(std::span(data, size)));
  } catch (const DataError&) {
    return 0;
  }
  return 0;
}

/// The same for parsers of text.
template <typename Parse>
int fuzz_text(const uint8_t* data, size_t size, const Parse& parse) {
  return fuzz_bytes(data, size, [&](std::span<const std::byte> bytes) {
    parse(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  });
}

/// A property that every input must have: its loss is a finding.
inline void fuzz_check(bool condition) {
  if (!condition) __builtin_trap();
}

}  // namespace lathe
