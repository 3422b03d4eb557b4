#include "frontends/quantized_source.h"

#include <algorithm>

namespace lathe::frontends {

const QuantizedLinear* QuantizedSource::find(std::string_view path) const {
  const auto found =
      std::find_if(linears.begin(), linears.end(),
                   [&](const QuantizedLinear& linear) { return linear.path == path; });
  return found == linears.end() ? nullptr : &*found;
}

}  // namespace lathe::frontends
