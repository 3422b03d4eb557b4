#include "tokenizer/string_table.h"

#include <bit>
#include <functional>

namespace lathe::tokenizer {

StringTable::StringTable(size_t expected) {
  slots_.resize(std::bit_ceil(expected * 2 + 16));
  offsets_.reserve(expected + 1);
}

std::optional<uint32_t> StringTable::find(std::string_view text) const {
  const Slot& slot = slots_[find_slot(text, std::hash<std::string_view>{}(text))];
  if (slot.number == 0) return std::nullopt;
  return slot.number - 1;
}

std::pair<uint32_t, bool> StringTable::insert(std::string_view text) {
  if ((size() + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
  const uint64_t hash = std::hash<std::string_view>{}(text);
  Slot& slot = slots_[find_slot(text, hash)];
  if (slot.number != 0) return {slot.number - 1, false};
  arena_.append(text);
  offsets_.push_back(arena_.size());
  slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(size())};
  return {slot.number - 1, true};
}

void StringTable::clear() {
  arena_.clear();
  offsets_.resize(1);
  slots_.assign(slots_.size(), Slot{});
}

size_t StringTable::find_slot(std::string_view text, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.number == 0) return i;
    if (slot.hash == static_cast<uint32_t>(hash >> 32) && (*this)[slot.number - 1] == text)
      return i;
  }
}

void StringTable::rehash(size_t capacity) {
  slots_.assign(capacity, Slot{});
  for (uint32_t index = 0; index < size(); ++index) {
    const uint64_t hash = std::hash<std::string_view>{}((*this)[index]);
    slots_[find_slot((*this)[index], hash)] = {static_cast<uint32_t>(hash >> 32), index + 1};
  }
}

}  // namespace lathe::tokenizer
