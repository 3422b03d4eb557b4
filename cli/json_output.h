#pragma once

#include <nlohmann/json.hpp>

#include "lathe/evaluate.h"
#include "lathe/inspect.h"
#include "lathe/job.h"

namespace lathe::cli {

nlohmann::ordered_json to_json(const QuantizePlan& plan);
nlohmann::ordered_json to_json(const QuantizeReport& report);
nlohmann::ordered_json to_json(const Evaluation& evaluation);
nlohmann::ordered_json to_json(const Inspection& inspection);

/// One document on standard output.
void print_json(const nlohmann::ordered_json& document);

}  // namespace lathe::cli
