#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace lathe::frontends {

/// A target of compressed-tensors: a name, or "re:" and a regular expression that must match from
/// the first character on.
class NamePattern {
 public:
  /// DataError, naming `source_name`, for a broken expression.
  NamePattern(std::string text, const std::string& source_name);

  const std::string& text() const { return text_; }
  bool is_expression() const { return code_ != nullptr; }
  /// DataError if the expression takes more steps than is sane.
  bool matches(std::string_view name) const;

 private:
  std::string text_;
  std::shared_ptr<const void> code_;  // null: a plain name
};

}  // namespace lathe::frontends
