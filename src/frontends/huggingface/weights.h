#pragma once

#include <c10/core/ScalarType.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "frontends/tensor_store.h"
#include "ir/parameter.h"

namespace lathe::frontends {

/// Hands the tensors of a store to the modules of a model and keeps a list of all that does not
/// fit.
class Weights {
 public:
  /// Parameters get `dtype`. `source_name`: the checkpoint, for messages.
  Weights(TensorStore& store, at::ScalarType dtype, std::string source_name);

  at::ScalarType dtype() const { return dtype_; }
  const std::string& source_name() const { return source_name_; }
  const TensorStore& store() const { return *store_; }
  /// For tensors that must be renamed or split before they are taken.
  TensorStore& store() { return *store_; }

  /// The parameter at `path`. A tensor that is missing, of another shape or not of floats is noted,
  /// and the parameter that comes back has no value: finish() throws.
  ir::ParameterPtr take(const std::string& path, const std::vector<int64_t>& shape);

  /// The same in the dtype that the checkpoint has: for what is computed in float32 in any model.
  ir::ParameterPtr take_as_stored(const std::string& path, const std::vector<int64_t>& shape);

  /// Every tensor below `prefix`, in its stored dtype, by its name behind the prefix.
  std::vector<std::pair<std::string, ir::ParameterPtr>> take_below(const std::string& prefix);

  /// Each layer, each expert has tensors: a number of them in the config above that of tensors is a
  /// DataError before anything is made so often.
  void check_count(const char* key, int64_t count) const;

  bool has(const std::string& path) const { return store_->find(path) != nullptr; }
  /// Gives tensors the names that the model has for them; a name that is taken is left alone.
  void rename(const std::function<std::string(const std::string&)>& renamed);
  /// For checkpoints of a base model without its prefix, which the tensor `probe` tells.
  void add_prefix(const std::string& prefix, const std::string& probe);
  /// Takes a tensor out, with the reason in the books, if it is there.
  void drop(const std::string& path, const std::string& reason);

  /// Takes `tied_path` ("lm_head.weight") as the same parameter as `path`, which was or will be
  /// taken: its own tensor, if the store has one, must be equal. Returns false, and does nothing,
  /// if the two tensors differ.
  bool tie(const std::string& tied_path, const std::string& path);

  /// Throws one DataError that lists every problem, tensors that nobody took among them. Known
  /// leftovers of old checkpoints (rotary_emb.inv_freq) are dropped, with the reason in the books.
  void finish();

 private:
  ir::ParameterPtr take_as(const std::string& path, const std::vector<int64_t>& shape,
                           std::optional<at::ScalarType> dtype);
  ir::ParameterPtr missing(const std::vector<int64_t>& shape) const;
  void drop_leftovers(const std::unordered_set<std::string>& taken);

  TensorStore* store_;
  at::ScalarType dtype_;
  std::string source_name_;
  std::vector<std::string> problems_;
  std::vector<std::string> taken_;
};

/// "[576, 1536]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace lathe::frontends
