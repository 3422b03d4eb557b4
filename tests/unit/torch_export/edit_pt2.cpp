// edit_pt2 SOURCE EDITS.json TENSORS.safetensors OUTPUT: writes SOURCE with the edits of a JSON
// file, whose tensors (codes, replaced values, biases) are in TENSORS under their names. Prints
// what was written, or, with exit code 3, the problems.

#include <fmt/ranges.h>

#include <exception>
#include <iostream>

#include "export/torch_export/quantized_program.h"
#include "io/json.h"
#include "io/safetensors_reader.h"

namespace lathe::exporting {
namespace {

using nlohmann::json;

QdqScheme scheme_of(const json& value) {
  QdqScheme scheme;
  scheme.scales = value.at("scales").get<std::vector<float>>();
  scheme.zero_points = value.value("zero_points", std::vector<int64_t>());
  scheme.quant_min = value.at("quant_min");
  scheme.quant_max = value.at("quant_max");
  scheme.dtype = dtype_from_torch_name(value.at("dtype").get<std::string>()).value();
  if (value.contains("axis")) scheme.axis = value["axis"].get<int64_t>();
  if (value.contains("group_size")) scheme.group_size = value["group_size"].get<int64_t>();
  return scheme;
}

TensorSource source_of(const io::SafetensorsFile& file, const std::string& name) {
  const io::TensorEntry& entry = file.at(name);
  return {entry.dtype, entry.shape, [entry](const ByteSink& sink) { sink(entry.data()); }};
}

ProgramEdits read_edits(const json& file, const io::SafetensorsFile& tensors) {
  ProgramEdits edits;
  const auto items = [&](const char* list) { return file.value(list, json::array()); };
  for (const json& item : items("activations")) {
    edits.activations.push_back(
        {item.at("node"), item.at("argument"), scheme_of(item.at("scheme")),
         item.contains("item") ? std::optional<size_t>(item["item"]) : std::nullopt});
  }
  for (const json& item : items("outputs"))
    edits.outputs.push_back({item.at("node"), scheme_of(item.at("scheme"))});
  for (const json& item : items("weights")) {
    edits.weights.push_back(
        {item.at("name"), source_of(tensors, item["name"]), scheme_of(item.at("scheme"))});
  }
  for (const json& item : items("replaced"))
    edits.replaced.push_back({item.at("name"), source_of(tensors, item["name"])});
  for (const json& item : items("biases"))
    edits.biases.push_back({item.at("node"), item.at("name"), source_of(tensors, item["name"])});
  for (const json& item : items("dropped"))
    edits.dropped.push_back({item.at("node"), item.at("instead")});
  return edits;
}

int run(char** arguments) {
  const auto tensors = io::SafetensorsFile::open(arguments[3]);
  const ProgramEdits edits = read_edits(io::read_json(arguments[2]), tensors);
  const QuantizedProgram program{std::filesystem::path(arguments[1])};
  const auto problems = program.problems(edits);
  if (!problems.empty()) {
    std::cerr << fmt::format("{}\n", fmt::join(problems, "\n"));
    return 3;
  }
  const WrittenProgram written = program.write(edits, std::filesystem::path(arguments[4]));
  std::cout << fmt::format(
      "{{\"bytes\": {}, \"planned\": {}, \"entries\": {}, \"weight_bytes\": {}, \"quantizers\": "
      "{}, "
      "\"dequantized_weights\": {}}}\n",
      written.bytes, program.planned_bytes(edits), written.entries, written.weight_bytes,
      written.quantizers, written.dequantized_weights);
  return 0;
}

}  // namespace
}  // namespace lathe::exporting

int main(int count, char** arguments) {
  if (count != 5) {
    std::cerr << "usage: edit_pt2 SOURCE EDITS.json TENSORS.safetensors OUTPUT\n";
    return 2;
  }
  try {
    return lathe::exporting::run(arguments);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
