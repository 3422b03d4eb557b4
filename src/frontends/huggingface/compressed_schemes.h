#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/format.h"
#include "formats/packing.h"
#include "frontends/huggingface/config.h"
#include "frontends/huggingface/name_pattern.h"

namespace lathe::frontends {

/// How inputs are quantized.
struct CompressedInput {
  formats::Format format;
  bool has_scale = false;  // a tensor "input_scale", or "input_global_scale" of two-level formats
};

/// A group of config_groups.
struct CompressedScheme {
  std::string format;  // "pack-quantized"
  formats::Format weight;
  bool symmetric = true;
  bool packed = false;  // "weight_packed" in place of "weight"
  formats::Packing packing = formats::Packing::kBytes;
  at::ScalarType weight_dtype;
  std::optional<CompressedInput> input;

  bool is_integer() const { return weight.element.kind == formats::ElementKind::kInt; }
  bool is_pack_quantized() const { return packing == formats::Packing::kInt32Offset; }
};

/// Which module has which scheme: config_groups and ignore.
class CompressedSchemes {
 public:
  /// UserError or DataError, naming the key, for what is not supported or broken.
  explicit CompressedSchemes(const ConfigReader& section);

  /// The scheme of a Linear: exact names before expressions before the class; null if no target
  /// names it.
  const CompressedScheme* find(const std::string& path) const;
  bool ignores(const std::string& path) const;

  /// "pack-quantized", or "mixed-precision".
  const std::string& format() const { return format_; }
  const std::vector<std::string>& ignored() const { return ignored_; }

 private:
  void read_group(const ConfigReader& group);

  std::string format_;
  std::vector<CompressedScheme> schemes_;
  std::unordered_map<std::string, size_t> by_name_;
  std::vector<std::pair<NamePattern, size_t>> by_expression_;  // in the order of their text
  std::optional<size_t> of_linear_;
  std::vector<std::string> ignored_;
  std::vector<NamePattern> ignored_patterns_;
};

}  // namespace lathe::frontends
