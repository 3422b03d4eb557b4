#include "kernels/simd.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace lathe::kernels {

namespace {
std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool apply_environment() {
  const char* wanted = std::getenv("LATHE_SIMD");
  if (wanted == nullptr || *wanted == '\0') return true;
  std::string known;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    const std::string name = lower(hwy::TargetName(target));
    if (name == lower(wanted)) {
      hwy::SetSupportedTargetsForTest(target);
      return true;
    }
    known += (known.empty() ? "" : ", ") + name;
  }
  throw_user("LATHE_SIMD must be one of {} on this machine, found '{}'", known, wanted);
}
}  // namespace

void init_simd() { [[maybe_unused]] static const bool done = apply_environment(); }

std::string_view simd_level() {
  init_simd();
  return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front());
}

}  // namespace lathe::kernels
