#pragma once

#include <string>

#include "lathe/job.h"

namespace lathe::cli {

/// A page that needs no other file: summary, sizes, error by layer, the plan's table, the
/// evaluation.
std::string report_html(const QuantizeJob& job, const QuantizeReport& report);

/// The same of a plan alone.
std::string plan_html(const QuantizeJob& job, const QuantizePlan& plan);

}  // namespace lathe::cli
