#include "export/compressed_tensors/module_targets.h"

#include <cctype>
#include <map>
#include <set>

namespace lathe::exporting {
namespace {

/// Fewer names than this are easier to read, and faster to match, one by one.
constexpr size_t kManyNames = 64;

bool is_number(const std::string& part) {
  if (part.empty()) return false;
  for (const char c : part) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
  }
  return true;
}

void append_escaped(std::string& pattern, const std::string& part) {
  for (const char c : part) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
    if (!plain) pattern += '\\';
    pattern += c;
  }
}

/// The regular expression of the names that differ from this one in whole numbers between dots.
std::string number_pattern(const std::string& name) {
  std::string pattern = "re:^";
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (is_number(part)) {
      pattern += "\\d+";
    } else {
      append_escaped(pattern, part);
    }
    if (end < name.size()) pattern += "\\.";
    begin = end + 1;
  }
  return pattern + "$";
}

}  // namespace

std::vector<std::string> module_targets(const std::vector<std::string>& names,
                                        const std::vector<std::string>& others) {
  std::map<std::string, std::vector<std::string>> by_pattern;
  for (const std::string& name : names) by_pattern[number_pattern(name)].push_back(name);
  std::set<std::string> taken;
  for (const std::string& other : others) taken.insert(number_pattern(other));
  std::set<std::string> targets;
  for (const auto& [pattern, members] : by_pattern) {
    if (members.size() >= kManyNames && !taken.contains(pattern)) {
      targets.insert(pattern);
    } else {
      targets.insert(members.begin(), members.end());
    }
  }
  return {targets.begin(), targets.end()};
}

}  // namespace lathe::exporting
