#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::cli {

/// A dotted name with its numbers taken out: "model.layers.3.mlp" is "model.layers.*.mlp" and {3}.
struct NumberedName {
  std::string pattern;
  std::vector<int64_t> numbers;
};
NumberedName take_numbers(std::string_view name);

/// Names of one pattern as one text: "model.layers.[0-29].mlp.experts.[0-7,9].gate_proj".
class FoldedName {
 public:
  explicit FoldedName(std::string pattern) : pattern_(std::move(pattern)) {}

  void add(const std::vector<int64_t>& numbers);
  std::string text() const;

 private:
  std::string pattern_;
  std::vector<std::set<int64_t>> numbers_;  // of each "*"
};

}  // namespace lathe::cli
