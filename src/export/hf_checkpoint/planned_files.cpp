#include "export/hf_checkpoint/planned_files.h"

#include <string_view>

#include "base/error.h"
#include "base/output_file.h"
#include "io/json.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestGenerationConfig = size_t{1} << 20;

bool is_set(const nlohmann::ordered_json& json, const char* key) {
  return json.contains(key) && !json[key].is_null();
}

/// The text with do_sample forced, or as it was.
std::string sampled(std::string text, const std::string& source_name) {
  nlohmann::ordered_json json = io::parse_ordered_json(text, source_name);
  if (!json.is_object()) throw_data("{}: a JSON object is expected", source_name);
  const bool sample = json.contains("do_sample") && json["do_sample"] == true;
  if (sample || (!is_set(json, "top_k") && !is_set(json, "top_p"))) return text;
  json["do_sample"] = true;
  return io::dump_json(json, 2) + "\n";
}

/// Names that the exporter itself writes.
bool is_reserved(std::string_view name) {
  return name == "config.json" || name == "hf_quant_config.json" ||
         name.ends_with(".safetensors") || name == "model.safetensors.index.json";
}

uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  if (error) throw_user("{}: the export needs it: {}", file.string(), error.message());
  return size;
}

PlannedFile plan_file(const ir::AuxiliaryFile& file) {
  // Names come from a folder or an archive: nothing may lead out of the output.
  const bool plain = !file.name.empty() && fs::path(file.name).filename() == file.name &&
                     file.name != "." && file.name != "..";
  if (!plain || is_reserved(file.name)) {
    throw_data("auxiliary file \"{}\": an export cannot have a file of this name", file.name);
  }
  PlannedFile planned{.name = file.name, .source = file.source, .contents = file.contents};
  if (file.name == "generation_config.json") {
    const std::string text =
        file.source.empty() ? file.contents : read_file(file.source, kLargestGenerationConfig);
    planned.source.clear();
    planned.contents = sampled(text, file.source.empty() ? file.name : file.source.string());
  }
  planned.bytes = planned.source.empty() ? planned.contents.size() : size_of(planned.source);
  return planned;
}

}  // namespace

std::vector<PlannedFile> plan_auxiliary_files(const ir::Model& model,
                                              std::vector<std::string>& problems) {
  std::vector<PlannedFile> files;
  for (const ir::AuxiliaryFile& file : model.files) {
    try {
      files.push_back(plan_file(file));
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  return files;
}

}  // namespace lathe::exporting
