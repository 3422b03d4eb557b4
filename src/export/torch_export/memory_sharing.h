#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "export/torch_export/program_json.h"

namespace lathe::exporting {

/// Which values of a program may share memory, and where in-place operators change it: an edit must
/// not part a reader from a change that it sees, or show it one that it does not.
class MemorySharing {
 public:
  explicit MemorySharing(const ProgramJson& program);

  /// The same for values that may share memory.
  const std::string& memory_of(const std::string& value) const;

  /// How often the value's memory was changed before the node.
  size_t changes_before(const std::string& value, size_t node) const;
  /// Whether it is changed at the node or later.
  bool is_changed_from(const std::string& value, size_t node) const;
  /// Whether the node is an in-place operator that changes the value's memory.
  bool changes(size_t node, const std::string& value) const;

  /// Whether something that shares the value's memory, but was computed before the node, is read
  /// after it, or is an input.
  bool is_seen_after(const std::string& value, size_t node) const;

  /// Whether a change of one of two values, which share no memory now, would be seen through the
  /// other if they did.
  bool interfere(const std::string& a, const std::string& b) const;

 private:
  bool sees(const std::string& reader, const std::string& changed) const;

  const ProgramJson& program_;
  std::unordered_map<std::string, std::string> memory_;               // by value
  std::unordered_map<std::string, std::vector<std::string>> values_;  // by memory, in order
  std::unordered_map<std::string, std::vector<size_t>> changes_;      // by memory: nodes, in order
};

}  // namespace lathe::exporting
