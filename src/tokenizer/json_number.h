#pragma once

#include <string_view>

namespace lathe::tokenizer {

/// The double that serde_json (without its float_roundtrip feature) reads from a JSON number: the
/// digits as an integer, times or divided by a power of ten. It can be one bit off the nearest
/// double; scores of Unigram tokens decide ties, so they are read in the same way. DataError if it
/// is out of range.
double parse_serde_float(std::string_view number);

}  // namespace lathe::tokenizer
