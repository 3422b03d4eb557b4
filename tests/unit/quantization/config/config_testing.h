#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "io/json.h"
#include "io/yaml.h"
#include "lathe/error.h"
#include "quantization/config/quant_config.h"

namespace lathe::quantization {

/// A configuration written as YAML (or JSON, which YAML contains).
inline QuantConfig config_of(std::string_view text) {
  return parse_quant_config(io::parse_yaml(text, "test.yaml"), "test.yaml", io::parse_yaml);
}

/// The message of the UserError that `function` throws.
template <typename Function>
std::string user_error(Function&& function) {
  try {
    function();
  } catch (const UserError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no UserError was thrown";
  return "";
}

inline void expect_contains(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" lacks \"" << part << "\"";
}

}  // namespace lathe::quantization
