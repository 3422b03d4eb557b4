#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/model.h"

namespace lathe::frontends {

/// A tensor of a source under the name of the module parameter that it will be. A packed weight and
/// its scales are one StoredTensor whose value is decoded.
struct StoredTensor {
  std::string name;            // path of the parameter
  at::ScalarType dtype;        // that it has without a request for another
  std::vector<int64_t> shape;  // of the value
  std::string file;            // for messages
  /// Reads the value in the dtype asked for. Floating-point tensors give any of float32, bfloat16,
  /// float16; others their own dtype.
  std::function<at::Tensor(at::ScalarType)> read;
  std::vector<size_t> sources;  // what it is made of: indices into TensorStore::sources()
  /// The source's own tensor, where the value is that and nothing else.
  ir::ParameterPtr stored = nullptr;
};

/// All tensors of a source, by name, and the books of what becomes of the source's own tensors.
class TensorStore {
 public:
  TensorStore() = default;
  TensorStore(TensorStore&&) = default;
  TensorStore& operator=(TensorStore&&) = default;

  /// Adds a tensor of the source and gives its index.
  size_t add_source(std::string name, ir::ParameterPtr parameter);
  /// InternalError if there is a tensor of this name.
  void add(StoredTensor tensor);
  /// Puts `tensor`, which is made of the tensors called `names`, in the place of the first of them.
  void replace(const std::vector<std::string>& names, StoredTensor tensor);
  /// Puts `parts`, each of which is made of a piece of the tensor called `name`, in its place.
  void split(const std::string& name, std::vector<StoredTensor> parts);
  /// Takes a tensor out and books its sources as dropped.
  void drop(const std::string& name, const std::string& reason);

  /// Null if there is none, or it was taken out.
  const StoredTensor* find(std::string_view name) const { return share(name).get(); }
  /// The same, for functions that read it when the store is gone.
  std::shared_ptr<const StoredTensor> share(std::string_view name) const;
  /// In the source's order; those that were taken out are left out.
  std::vector<const StoredTensor*> tensors() const;
  size_t size() const { return index_.size(); }
  /// Hands them over, in this order; what is left are the books.
  std::vector<std::shared_ptr<const StoredTensor>> take_tensors();

  /// Notes that checkpoints of the model hold these linears in one tensor; once for each path.
  void fuse(ir::FusedLinears linears);
  std::vector<ir::FusedLinears> take_fused() { return std::move(fused_); }

  /// Books the sources of `tensor` as part of the parameter at `path`.
  void mark_used(const StoredTensor& tensor, const std::string& path);
  const std::vector<ir::SourceTensor>& sources() const { return sources_; }
  std::vector<ir::SourceTensor> take_sources() { return std::move(sources_); }

 private:
  std::vector<size_t> take_out(const std::string& name);

  std::vector<std::shared_ptr<StoredTensor>> tensors_;  // null where one was taken out
  std::unordered_map<std::string_view, size_t> index_;  // of the names in tensors_
  std::vector<ir::SourceTensor> sources_;
  std::vector<ir::FusedLinears> fused_;
  std::unordered_set<std::string> fused_paths_;
};

/// A lazy parameter for a stored tensor, in `dtype`.
ir::ParameterPtr make_parameter(const StoredTensor& tensor, at::ScalarType dtype);

/// Whether values of this dtype follow the model's dtype: float64, float32, float16, bfloat16.
/// Packed floats do not.
bool is_plain_float(at::ScalarType dtype);

/// The floating-point dtype that most bytes of the store have; bfloat16 if there is none.
at::ScalarType dominant_dtype(const TensorStore& store);

}  // namespace lathe::frontends
