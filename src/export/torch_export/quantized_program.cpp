#include "export/torch_export/quantized_program.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/output_file.h"
#include "export/torch_export/archive_writer.h"
#include "export/torch_export/edit_plan.h"
#include "export/torch_export/edited_program.h"
#include "export/torch_export/program_json.h"
#include "export/torch_export/scheme_check.h"
#include "io/json.h"

namespace lathe::exporting {
namespace {

constexpr size_t kLargestProgram = size_t{1} << 31;

SourceArchive open_archive(io::ZipArchive zip) {
  io::Pt2Layout layout = io::find_pt2_layout(zip);
  return {std::move(zip), std::move(layout)};
}

ProgramJson read_program(const SourceArchive& source) {
  const std::string& name = source.layout.program;
  const auto bytes = source.zip.read(*source.zip.find(name), kLargestProgram);
  const std::string place = fmt::format("{} ({})", source.zip.source_name(), name);
  return {io::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, place),
          place};
}

}  // namespace

struct QuantizedProgram::State {
  explicit State(io::ZipArchive zip)
      : source(open_archive(std::move(zip))), program(read_program(source)) {
    check_weights(source, program);
  }

  PlanResult plan(const ProgramEdits& edits, bool need_scales) const {
    return plan_edits(program, edits, source.layout.pickled, need_scales);
  }

  SourceArchive source;
  ProgramJson program;
};

QuantizedProgram::QuantizedProgram(const std::filesystem::path& source)
    : state_(std::make_unique<State>(io::ZipArchive::open(source))) {}
QuantizedProgram::QuantizedProgram(std::span<const std::byte> source, const std::string& name)
    : state_(std::make_unique<State>(io::ZipArchive::from_bytes(source, name))) {}
QuantizedProgram::~QuantizedProgram() = default;
QuantizedProgram::QuantizedProgram(QuantizedProgram&&) noexcept = default;
QuantizedProgram& QuantizedProgram::operator=(QuantizedProgram&&) noexcept = default;

std::vector<std::string> QuantizedProgram::problems(const ProgramEdits& edits) const {
  return state_->plan(edits, false).problems;
}

size_t QuantizedProgram::planned_bytes(const ProgramEdits& edits) const {
  // What is replaced has at most the bytes that it had.
  constexpr size_t kForNode = 4096;
  size_t bytes = 0;
  for (const io::ZipEntry& entry : state_->source.zip.entries()) bytes += entry.bytes + 1024;
  bytes += kForNode * (edits.activations.size() + edits.outputs.size() + edits.weights.size());
  for (const WeightEdit& weight : edits.weights) {
    const bool fits = weight_scheme_problem(weight.scheme, weight.codes.shape).empty();
    if (fits)
      bytes += (sizeof(float) + sizeof(int64_t)) * scale_count(weight.scheme, weight.codes.shape);
  }
  for (const NewBias& bias : edits.biases) {
    for (int64_t size : bias.values.shape)
      bytes += static_cast<size_t>(std::max<int64_t>(size, 0)) * dtype_size(bias.values.dtype);
  }
  return bytes;
}

WrittenProgram QuantizedProgram::write(const ProgramEdits& edits, const ByteSink& output,
                                       const std::function<void(size_t)>& progress) const {
  const PlanResult planned = state_->plan(edits, true);
  if (!planned.problems.empty()) {
    throw_data("{}: {}", state_->source.zip.source_name(), fmt::join(planned.problems, "\n  "));
  }
  const EditedProgram program = apply_edits(state_->program, planned.plan);
  io::ZipWriter zip(output);
  WrittenProgram written;
  written.weight_bytes = write_archive(state_->source, program, zip, progress);
  zip.finish();
  written.bytes = zip.bytes_written();
  written.entries = zip.entries();
  written.quantizers = program.quantizers;
  written.dequantized_weights = program.dequantized_weights;
  return written;
}

WrittenProgram QuantizedProgram::write(const ProgramEdits& edits,
                                       const std::filesystem::path& output,
                                       const std::function<void(size_t)>& progress) const {
  OutputFile file(output);
  const WrittenProgram written = write(
      edits, [&](std::span<const std::byte> bytes) { file.write(bytes); }, progress);
  file.commit();
  return written;
}

}  // namespace lathe::exporting
