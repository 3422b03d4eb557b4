#include "io/pt2_layout.h"

#include <fmt/ranges.h>

#include <array>
#include <vector>

#include "base/error.h"

namespace lathe::io {
namespace {

constexpr const char* kOldProgram = "serialized_exported_program.json";

constexpr auto kDTypes = std::to_array<std::pair<int64_t, DType>>({
    {1, DType::kU8},
    {2, DType::kI8},
    {3, DType::kI16},
    {4, DType::kI32},
    {5, DType::kI64},
    {6, DType::kF16},
    {7, DType::kF32},
    {8, DType::kF64},
    {12, DType::kBool},
    {13, DType::kBF16},
    {28, DType::kU16},
    {29, DType::kF8E4M3},
    {30, DType::kF8E5M2},
    {33, DType::kF8E8M0},
    {34, DType::kU32},
    {35, DType::kU64},
});

/// The folder that all entries lie in, "net/", if one of them is called `marker` or begins with it
/// there; "" for none.
std::optional<std::string> common_folder(const ZipArchive& archive, std::string_view marker) {
  for (const ZipEntry& entry : archive.entries()) {
    const size_t at = entry.name.find(marker);
    if (at == 0 || (at != std::string::npos && entry.name[at - 1] == '/'))
      return entry.name.substr(0, at);
  }
  return std::nullopt;
}

std::optional<std::string> old_folder(const ZipArchive& archive) {
  for (const ZipEntry& entry : archive.entries()) {
    if (entry.name == kOldProgram || entry.name.ends_with(std::string("/") + kOldProgram))
      return entry.name.substr(0, entry.name.size() - std::string_view(kOldProgram).size());
  }
  return std::nullopt;
}

std::string model_name(const ZipArchive& archive, const std::string& folder) {
  constexpr std::string_view kSuffix = ".json";
  const std::string prefix = folder + "models/";
  std::vector<std::string> names;
  for (const ZipEntry& entry : archive.entries()) {
    if (!entry.name.starts_with(prefix) || !entry.name.ends_with(kSuffix)) continue;
    names.push_back(
        entry.name.substr(prefix.size(), entry.name.size() - prefix.size() - kSuffix.size()));
  }
  if (names.size() != 1) {
    throw_data("{}: expected one model, found {} ({})", archive.source_name(), names.size(),
               fmt::join(names, ", "));
  }
  return names.front();
}

}  // namespace

Pt2Layout find_pt2_layout(const ZipArchive& archive) {
  if (const auto folder = old_folder(archive)) {
    return {.pickled = true,
            .program = *folder + kOldProgram,
            .weights = *folder + "serialized_state_dict.pt",
            .constants = *folder + "serialized_constants.pt"};
  }
  const auto folder = common_folder(archive, "models/");
  if (!folder) {
    throw_data("{}: no archive of torch.export: it has neither a models folder nor {}",
               archive.source_name(), kOldProgram);
  }
  const std::string model = model_name(archive, *folder);
  const std::string weights = *folder + "data/weights/";
  const std::string constants = *folder + "data/constants/";
  return {.pickled = false,
          .program = fmt::format("{}models/{}.json", *folder, model),
          .weights = fmt::format("{}{}_weights_config.json", weights, model),
          .constants = fmt::format("{}{}_constants_config.json", constants, model),
          .weights_folder = weights,
          .constants_folder = constants};
}

std::optional<DType> dtype_of_pt2_code(int64_t code) {
  for (const auto& [known, dtype] : kDTypes) {
    if (known == code) return dtype;
  }
  return std::nullopt;
}

int64_t pt2_code_of_dtype(DType dtype) {
  for (const auto& [code, known] : kDTypes) {
    if (known == dtype) return code;
  }
  throw_internal("{} has no code in archives of torch.export", dtype_name(dtype));
}

}  // namespace lathe::io
