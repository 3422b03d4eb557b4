#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frontends/torch_export/archive.h"
#include "ir/model.h"

namespace lathe::frontends::torch_export {

/// The archive's tensors as lazy parameters. Names for the same memory are one Parameter.
class Parameters {
 public:
  /// `writable`: names of tensors that the program changes; they get memory of their own. With
  /// `dtype`, floating-point tensors are converted to it when they are read.
  Parameters(const Archive& archive, const std::unordered_set<std::string>& writable,
             std::optional<at::ScalarType> dtype);

  /// Null if the archive has no such tensor.
  ir::ParameterPtr find(const std::string& name) const;
  /// All names of the tensor called `name`, itself first; empty if there is none.
  std::vector<std::string> names_of(const std::string& name) const;

  struct Entry {
    std::string name;
    ir::ParameterPtr parameter;
    bool saved;  // in state_dict
  };
  /// In the archive's order.
  const std::vector<Entry>& entries() const { return entries_; }

  /// Pairs {other name, first name}.
  std::vector<std::pair<std::string, std::string>> tied() const;
  /// That most bytes of the saved tensors have; float32 if there is none.
  at::ScalarType dominant_dtype() const;

 private:
  void add(const StoredView& view, bool saved, bool writable, std::optional<at::ScalarType> dtype);

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
  std::unordered_map<std::string, ir::ParameterPtr> by_memory_;
  std::unordered_map<const ir::Parameter*, std::vector<std::string>> names_;
};

}  // namespace lathe::frontends::torch_export
