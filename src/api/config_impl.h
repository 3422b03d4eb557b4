#pragma once

#include <string>

#include "lathe/quantize.h"
#include "quantization/config/quant_config.h"

namespace lathe {

struct QuantizeConfig::Impl {
  std::string name;  // preset or file
  quantization::QuantConfig config;
};

}  // namespace lathe
