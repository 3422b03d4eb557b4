#include "frontends/huggingface/awq.h"

#include <algorithm>

#include "frontends/huggingface/integer_weight.h"

namespace lathe::frontends {

QuantizedSource read_awq(const ConfigReader& section, TensorStore& store, at::ScalarType dtype) {
  if (section.size_or("bits", 4) != 4) section.unsupported("bits", "supported: 4");
  const char* key = section.has("version") ? "version" : "format";
  std::string layout = section.text_or(key, "gemm");
  std::transform(layout.begin(), layout.end(), layout.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (layout != "gemm") section.unsupported(key, "supported: gemm");
  IntegerSource from{.method = "awq"};
  from.layout = {.bits = 4, .along_k = false, .swapped = true};
  from.group_size = read_group_size(section);
  return read_integer_weights(from, section, store, dtype);
}

}  // namespace lathe::frontends
