#include "cli/folded_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace lathe::cli {
namespace {

constexpr size_t kMaxDigits = 9;  // longer runs of digits are text
constexpr size_t kMaxRanges = 4;  // of one number before the middle ones are left out

bool is_number(std::string_view part) {
  return !part.empty() && part.size() <= kMaxDigits &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int64_t number_of(std::string_view digits) {
  int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// {0, 1, 2, 5} as {"0-2", "5"}.
std::vector<std::string> ranges_of(const std::set<int64_t>& numbers) {
  std::vector<std::string> ranges;
  for (auto first = numbers.begin(); first != numbers.end();) {
    auto last = first;
    for (auto next = std::next(last); next != numbers.end() && *next == *last + 1; ++next)
      last = next;
    ranges.push_back(first == last ? fmt::format("{}", *first)
                                   : fmt::format("{}-{}", *first, *last));
    first = std::next(last);
  }
  return ranges;
}

std::string ranges_text(const std::set<int64_t>& numbers) {
  auto ranges = ranges_of(numbers);
  if (numbers.size() == 1) return ranges.front();
  if (ranges.size() > kMaxRanges) ranges = {ranges[0], ranges[1], "...", ranges.back()};
  return fmt::format("[{}]", fmt::join(ranges, ","));
}

}  // namespace

NumberedName take_numbers(std::string_view name) {
  NumberedName result;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (begin > 0) result.pattern += '.';
    if (is_number(part)) {
      result.pattern += '*';
      result.numbers.push_back(number_of(part));
    } else {
      result.pattern += part;
    }
    begin = end + 1;
  }
  return result;
}

void FoldedName::add(const std::vector<int64_t>& numbers) {
  numbers_.resize(numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) numbers_[i].insert(numbers[i]);
}

std::string FoldedName::text() const {
  std::string text;
  size_t index = 0;
  for (const char c : pattern_) {
    if (c == '*' && index < numbers_.size()) {
      text += ranges_text(numbers_[index++]);
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace lathe::cli
