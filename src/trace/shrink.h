#pragma once

#include <map>
#include <vector>

#include "trace/unit_flow.h"

namespace lathe::trace {

/// Units of atoms that stay; atoms that are not there keep all.
using KeptUnits = std::map<AxisId, std::vector<int64_t>>;

/// Takes the other units out of a model: slices of all parameters, numbers in attributes and
/// graphs, experts. `units` is the analysis of this very model. Parameters that change are read.
void shrink(ir::Module& model, const UnitResult& units, const KeptUnits& kept);

/// The positions along an axis that stay.
std::vector<int64_t> kept_positions(const AxisTable& axes, AxisId axis, const KeptUnits& kept);

}  // namespace lathe::trace
