#pragma once

#include <string>

#include "lathe/inspect.h"

namespace lathe::cli {

/// What a model file holds: a summary and its tensors, one line a kind of layer or, with `all`, one
/// a tensor.
std::string inspection_text(const Inspection& inspection, bool all);

}  // namespace lathe::cli
