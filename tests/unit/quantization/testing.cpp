#include "testing.h"

#include "base/error.h"

namespace lathe::quantization {

QuantizerAttributes attributes_of(std::string_view number_format) {
  const NumberFormat* found = find_number_format(number_format);
  check_internal(found != nullptr, "no number format {}", number_format);
  return found->attributes;
}

TensorQuantizer make_quantizer(const QuantizerAttributes& attributes, const std::string& name) {
  using Stages = std::vector<QuantizerAttributes>;
  return TensorQuantizer(name, true, std::make_shared<const Stages>(Stages{attributes}));
}

QuantizerResolver resolver_of(
    const std::vector<std::pair<std::string, QuantizerAttributes>>& entries) {
  QuantConfig config;
  config.entries.push_back({.quantizer_name = "*", .enable = false});
  for (const auto& [name, attributes] : entries)
    config.entries.push_back({.quantizer_name = name, .cfg = std::vector{attributes}});
  return QuantizerResolver(config);
}

Conversion convert_all(ir::Module& root, const QuantizerResolver& resolver) {
  std::vector<std::string> problems;
  Conversion conversion = convert(root, resolver, {}, problems);
  check_internal(problems.empty(), "{} problems, {} first", problems.size(),
                 problems.empty() ? "" : problems[0]);
  return conversion;
}

}  // namespace lathe::quantization
