#pragma once

#include <string>
#include <vector>

#include "export/torch_export/quantized_program.h"

namespace lathe::exporting {

bool is_float8(DType dtype);

/// How many scales the scheme has for a tensor of this shape.
size_t scale_count(const QdqScheme& scheme, const std::vector<int64_t>& shape);

/// Why quantized_decomposed cannot compute the scheme: "" if it can. Scales may be left out.
std::string scheme_problem(const QdqScheme& scheme);
/// The same for a tensor that is stored as codes.
std::string weight_scheme_problem(const QdqScheme& scheme, const std::vector<int64_t>& shape);
/// Why the scales cannot be written: their number, or values that are not positive and finite.
std::string scales_problem(const QdqScheme& scheme, size_t count);

}  // namespace lathe::exporting
