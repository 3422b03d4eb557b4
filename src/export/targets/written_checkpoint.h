#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "export/targets/target.h"
#include "io/safetensors_reader.h"

namespace lathe::exporting {

/// Reads a checkpoint of a dialect as its consumers do, and says what they would refuse: keys of
/// the JSON, names, dtypes and shapes of the tensors, scales that are not finite or not equal in
/// fused layers. Knows nothing of the plan that it was written by.
std::vector<std::string> written_problems(const io::SafetensorsCheckpoint& checkpoint,
                                          std::string_view dialect, Target target);

/// DataError that lists them, if there are any.
void check_written(const io::SafetensorsCheckpoint& checkpoint, std::string_view dialect,
                   Target target);

}  // namespace lathe::exporting
