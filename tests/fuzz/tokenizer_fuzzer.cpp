#include <algorithm>

#include "fuzz/fuzz.h"
#include "tokenizer/tokenizer.h"

/// A tokenizer.json, the byte 0x1E, and a text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return lathe::fuzz_text(data, size, [](std::string_view input) {
    constexpr size_t kMaxText = 256;
    const size_t end = std::min(input.find('\x1e'), input.size());
    const std::string_view text = input.substr(std::min(end + 1, input.size())).substr(0, kMaxText);
    const auto tokenizer = lathe::tokenizer::Tokenizer::from_json(input.substr(0, end), "input");
    const auto ids = tokenizer.encode(text, true);
    lathe::fuzz_check(tokenizer.encode(text, true) == ids);
    tokenizer.decode(ids, false);
    tokenizer.decode(ids, true);
  });
}
