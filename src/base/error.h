#pragma once

#include <fmt/format.h>

#include "lathe/error.h"

namespace lathe {

/// throw_user("--samples must be at least 1, found {}", n): the formatted forms.
template <typename... Args>
[[noreturn]] void throw_user(fmt::format_string<Args...> format, Args&&... args) {
  throw UserError(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void throw_data(fmt::format_string<Args...> format, Args&&... args) {
  throw DataError(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void throw_internal(fmt::format_string<Args...> format, Args&&... args) {
  throw InternalError(fmt::format(format, std::forward<Args>(args)...));
}

/// An invariant of Lathe itself: checked in every build, throws InternalError.
template <typename... Args>
void check_internal(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) throw_internal(format, std::forward<Args>(args)...);
}

/// Runs `function`; an Error that leaves it gets "context: " before its message.
template <typename Function>
decltype(auto) with_context(const std::string& context, Function&& function) {
  try {
    return function();
  } catch (Error& error) {
    error.add_context(context);
    throw;
  }
}

}  // namespace lathe
