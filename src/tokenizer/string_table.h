#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenizer {

/// Distinct strings, numbered in the order of insertion.
class StringTable {
 public:
  explicit StringTable(size_t expected = 0);

  std::optional<uint32_t> find(std::string_view text) const;
  /// The number of the string, and whether it is new.
  std::pair<uint32_t, bool> insert(std::string_view text);

  std::string_view operator[](uint32_t index) const {
    return std::string_view(arena_).substr(offsets_[index], offsets_[index + 1] - offsets_[index]);
  }
  size_t size() const { return offsets_.size() - 1; }
  void clear();

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t number = 0;  // 1 + index, 0 if empty
  };

  size_t find_slot(std::string_view text, uint64_t hash) const;
  void rehash(size_t capacity);

  std::string arena_;
  std::vector<size_t> offsets_{0};
  std::vector<Slot> slots_;
};

}  // namespace lathe::tokenizer
