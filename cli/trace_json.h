#pragma once

#include <nlohmann/json.hpp>

#include "lathe/trace.h"

namespace lathe::cli {

/// "searchable", "links", "unsortable" and "skippable" by the symbols' names; and the modules,
/// units, sharing groups, opportunities and warnings.
nlohmann::ordered_json to_json(const Trace& trace);

}  // namespace lathe::cli
