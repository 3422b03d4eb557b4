#include <algorithm>
#include <array>

#include "export/compressed_tensors/compressed_tensors.h"
#include "export/hf_checkpoint/dialect.h"
#include "export/modelopt/modelopt.h"
#include "export/mxfp4/mxfp4.h"

namespace lathe::exporting {

std::span<const Dialect* const> dialects() {
  static const std::array<const Dialect*, 3> all = {
      &modelopt_dialect(), &compressed_tensors_dialect(), &mxfp4_dialect()};
  return all;
}

const Dialect* find_dialect(std::string_view name) {
  const auto found = std::ranges::find(dialects(), name, &Dialect::name);
  return found == dialects().end() ? nullptr : *found;
}

}  // namespace lathe::exporting
