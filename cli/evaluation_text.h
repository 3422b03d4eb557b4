#pragma once

#include <string>

#include "lathe/evaluate.h"

namespace lathe::cli {

/// Perplexity and, against a reference, divergence: a few aligned lines.
std::string evaluation_text(const Evaluation& evaluation);

}  // namespace lathe::cli
