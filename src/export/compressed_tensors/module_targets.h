#pragma once

#include <string>
#include <vector>

namespace lathe::exporting {

/// Module names as `targets` or `ignore` name them, sorted: names that differ in their numbers
/// alone
/// ("model.layers.0.mlp.experts.7.up_proj") become one pattern "re:^...$" where it stands for many
/// and for none of `others`; all others are spelled out.
std::vector<std::string> module_targets(const std::vector<std::string>& names,
                                        const std::vector<std::string>& others);

}  // namespace lathe::exporting
