#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace lathe::tokenizer {

/// uint64 to uint64 with open addressing: pairs of token ids to merges, trie nodes and bytes to
/// nodes. The largest key is reserved.
class FlatMap {
 public:
  explicit FlatMap(size_t expected = 0) { rehash(std::bit_ceil(expected * 2 + 16)); }

  const uint64_t* find(uint64_t key) const {
    for (size_t slot = hash(key);; ++slot) {
      const Entry& entry = slots_[slot & mask_];
      if (entry.key == key) return &entry.value;
      if (entry.key == kEmpty) return nullptr;
    }
  }

  /// The value of the key, after inserting `value` if there was none.
  uint64_t& insert(uint64_t key, uint64_t value) {
    if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
    return place(key, value);
  }

  size_t size() const { return size_; }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  struct Entry {
    uint64_t key = kEmpty;
    uint64_t value = 0;
  };

  static size_t hash(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return key ^ (key >> 32);
  }

  uint64_t& place(uint64_t key, uint64_t value) {
    for (size_t slot = hash(key);; ++slot) {
      Entry& entry = slots_[slot & mask_];
      if (entry.key == key) return entry.value;
      if (entry.key == kEmpty) {
        entry = {key, value};
        ++size_;
        return entry.value;
      }
    }
  }

  void rehash(size_t capacity) {
    std::vector<Entry> old(capacity);
    old.swap(slots_);
    mask_ = capacity - 1;
    size_ = 0;
    for (const Entry& entry : old) {
      if (entry.key != kEmpty) place(entry.key, entry.value);
    }
  }

  std::vector<Entry> slots_;
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace lathe::tokenizer
