#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "base/mapped_file.h"

namespace lathe::frontends {

/// A tensor whose memory is `offset`... of the file: no copy unless the slice is not aligned to its
/// element. It keeps the file mapped and must not be written to; when it goes, its pages may leave
/// the resident set.
at::Tensor map_tensor(const std::shared_ptr<const MappedFile>& file, size_t offset,
                      at::ScalarType dtype, const std::vector<int64_t>& shape);

}  // namespace lathe::frontends
