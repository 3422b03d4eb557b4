#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace lathe::ops {

/// Where activations between blocks are kept: in memory up to a budget, then in unlinked temporary
/// files that are mapped (in TMPDIR, /tmp by default).
class ActivationStore {
 public:
  explicit ActivationStore(size_t budget_bytes);

  /// The same values, contiguous; in a mapped file if memory for them would exceed the budget.
  /// Freed with the tensor.
  at::Tensor keep(const at::Tensor& value);

  size_t bytes_in_memory() const;

 private:
  struct Account;
  std::shared_ptr<Account> account_;
};

}  // namespace lathe::ops
