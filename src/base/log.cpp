#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <string>

namespace lathe {

void init_logging() {
  if (spdlog::get("lathe")) return;
  auto logger = spdlog::stderr_color_mt("lathe");
  logger->set_pattern("%^%l%$: %v");
  const char* level = std::getenv("LATHE_LOG");
  logger->set_level(level ? spdlog::level::from_str(level) : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace lathe
