#include "cli/dtype_option.h"
#include "cli/option_values.h"

#include "lathe/dtype.h"

namespace lathe::cli {

void add_dtype_option(CLI::App& command, std::string& dtype) {
  command.add_option("--dtype", dtype, "Compute in float32 or bfloat16 (as the checkpoint says)")
      ->check(one_of({"float32", "bfloat16"}))
      ->type_name("T");
}

OpenOptions open_options(const std::string& dtype) {
  OpenOptions options;
  if (!dtype.empty()) options.dtype = dtype_from_torch_name(dtype);
  return options;
}

}  // namespace lathe::cli
