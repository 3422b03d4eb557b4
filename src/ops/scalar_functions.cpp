#include "ops/scalar_functions.h"

#include <array>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"

namespace lathe::ops {
namespace {

using c10::IValue;
using Arguments = std::span<const IValue>;

const IValue& argument(Arguments arguments, size_t index) {
  if (index >= arguments.size()) throw_data("a function on numbers lacks argument {}", index);
  return arguments[index];
}

bool is_integer(const IValue& value) { return value.isInt() || value.isBool(); }

int64_t integer(const IValue& value) {
  if (value.isBool()) return value.toBool() ? 1 : 0;
  if (!value.isInt()) throw_data("expected an integer, found {}", value.tagKind());
  return value.toInt();
}

double real(const IValue& value) {
  if (is_integer(value)) return static_cast<double>(integer(value));
  if (!value.isDouble()) throw_data("expected a number, found {}", value.tagKind());
  return value.toDouble();
}

bool truth(const IValue& value) { return real(value) != 0; }

int64_t fitting(std::optional<int64_t> value) {
  if (!value) throw_data("an integer of the graph overflows");
  return *value;
}

int64_t floor_div(int64_t a, int64_t b) {
  if (b == 0 || (b == -1 && a == std::numeric_limits<int64_t>::min()))
    throw_data("{} is divided by {}", a, b);
  const int64_t quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    result = fitting(checked_mul(result, base));
    if (result == 0 || result == 1) break;
    if (i > 64 && base == -1) return exponent % 2 == 0 ? 1 : -1;
  }
  return result;
}

/// Integers by one function, anything else by the other.
template <typename OnIntegers, typename OnReals>
IValue arithmetic(Arguments arguments, OnIntegers on_integers, OnReals on_reals) {
  const IValue& a = argument(arguments, 0);
  const IValue& b = argument(arguments, 1);
  if (is_integer(a) && is_integer(b)) return on_integers(integer(a), integer(b));
  return on_reals(real(a), real(b));
}

template <typename Compare>
IValue compare(Arguments arguments, Compare compare) {
  return arithmetic(
      arguments, [&](int64_t a, int64_t b) { return compare(a, b); },
      [&](double a, double b) { return compare(a, b); });
}

IValue add(Arguments arguments) {
  return arithmetic(
      arguments, [](int64_t a, int64_t b) { return fitting(checked_add(a, b)); },
      [](double a, double b) { return a + b; });
}
IValue sub(Arguments arguments) {
  return arithmetic(
      arguments,
      [](int64_t a, int64_t b) {
        int64_t result;
        return __builtin_sub_overflow(a, b, &result) ? fitting(std::nullopt) : result;
      },
      [](double a, double b) { return a - b; });
}
IValue mul(Arguments arguments) {
  return arithmetic(
      arguments, [](int64_t a, int64_t b) { return fitting(checked_mul(a, b)); },
      [](double a, double b) { return a * b; });
}
IValue floordiv(Arguments arguments) {
  return arithmetic(arguments, floor_div, [](double a, double b) { return std::floor(a / b); });
}
IValue truediv(Arguments arguments) {
  return real(argument(arguments, 0)) / real(argument(arguments, 1));
}
IValue mod(Arguments arguments) {
  return arithmetic(
      arguments, [](int64_t a, int64_t b) { return a - floor_div(a, b) * b; },
      [](double a, double b) { return a - std::floor(a / b) * b; });
}
IValue pow(Arguments arguments) {
  return arithmetic(
      arguments,
      [](int64_t a, int64_t b) {
        return b < 0 ? IValue(std::pow(static_cast<double>(a), static_cast<double>(b)))
                     : IValue(power(a, b));
      },
      [](double a, double b) { return IValue(std::pow(a, b)); });
}
IValue neg(Arguments arguments) {
  const std::array<IValue, 2> difference = {int64_t{0}, argument(arguments, 0)};
  return sub(difference);
}
IValue eq(Arguments arguments) {
  return compare(arguments, [](auto a, auto b) { return a == b; });
}
IValue ne(Arguments arguments) {
  return compare(arguments, [](auto a, auto b) { return a != b; });
}
IValue lt(Arguments arguments) {
  return compare(arguments, [](auto a, auto b) { return a < b; });
}
IValue le(Arguments arguments) {
  return compare(arguments, [](auto a, auto b) { return a <= b; });
}
IValue gt(Arguments arguments) {
  return compare(arguments, [](auto a, auto b) { return a > b; });
}
IValue ge(Arguments arguments) {
  return compare(arguments, [](auto a, auto b) { return a >= b; });
}
IValue logical_and(Arguments arguments) {
  return truth(argument(arguments, 0)) && truth(argument(arguments, 1));
}
IValue logical_or(Arguments arguments) {
  return truth(argument(arguments, 0)) || truth(argument(arguments, 1));
}
IValue logical_not(Arguments arguments) { return !truth(argument(arguments, 0)); }
IValue minimum(Arguments arguments) {
  return truth(le(arguments)) ? argument(arguments, 0) : argument(arguments, 1);
}
IValue maximum(Arguments arguments) {
  return truth(ge(arguments)) ? argument(arguments, 0) : argument(arguments, 1);
}
IValue choose(Arguments arguments) {
  return truth(argument(arguments, 0)) ? argument(arguments, 1) : argument(arguments, 2);
}

/// A double as an integer, if it fits.
int64_t whole(double value) {
  if (!(std::abs(value) < 9.2e18)) throw_data("{} is no integer of 64 bits", value);
  return static_cast<int64_t>(value);
}
IValue to_int(Arguments arguments) {
  const IValue& value = argument(arguments, 0);
  return is_integer(value) ? integer(value) : whole(std::trunc(real(value)));
}
IValue to_float(Arguments arguments) { return real(argument(arguments, 0)); }
IValue ceil(Arguments arguments) {
  const IValue& value = argument(arguments, 0);
  return is_integer(value) ? integer(value) : whole(std::ceil(real(value)));
}
IValue floor(Arguments arguments) {
  const IValue& value = argument(arguments, 0);
  return is_integer(value) ? integer(value) : whole(std::floor(real(value)));
}
IValue square_root(Arguments arguments) { return std::sqrt(real(argument(arguments, 0))); }

struct Named {
  std::string_view name;
  ScalarFunction function;
};

constexpr auto kFunctions = std::to_array<Named>({
    {"add", add},
    {"sub", sub},
    {"mul", mul},
    {"floordiv", floordiv},
    {"mod", mod},
    {"truediv", truediv},
    {"pow", pow},
    {"neg", neg},
    {"eq", eq},
    {"ne", ne},
    {"lt", lt},
    {"le", le},
    {"gt", gt},
    {"ge", ge},
    {"and_", logical_and},
    {"or_", logical_or},
    {"not_", logical_not},
    {"not", logical_not},
    {"min", minimum},
    {"max", maximum},
    {"ite", choose},
    {"int", to_int},
    {"trunc", to_int},
    {"float", to_float},
    {"ceil", ceil},
    {"floor", floor},
    {"sqrt", square_root},
});

}  // namespace

ScalarFunction find_scalar_function(std::string_view target) {
  constexpr std::string_view kPrefix = "builtin::";
  if (!target.starts_with(kPrefix)) return nullptr;
  for (const Named& entry : kFunctions) {
    if (entry.name == target.substr(kPrefix.size())) return entry.function;
  }
  return nullptr;
}

}  // namespace lathe::ops
