#include "export/hf_checkpoint/checkpoint_exporter.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "export/hf_checkpoint/pack_weight.h"
#include "export/hf_checkpoint/problem_list.h"
#include "export/hf_checkpoint/scale_storage.h"
#include "export/targets/written_checkpoint.h"
#include "io/checkpoint_writer.h"
#include "io/safetensors_reader.h"
#include "ir/scalar_types.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;

void write_planned_file(const PlannedFile& file, const fs::path& folder) {
  if (file.source.empty()) {
    write_file(folder / file.name, file.contents);
    return;
  }
  OutputFile output(folder / file.name);
  output.write(MappedFile::open(file.source)->bytes());
  output.commit();
}

/// Compares what a reader sees with the plan.
void check_as_reader(const CheckpointPlan& plan, const io::SafetensorsCheckpoint& checkpoint) {
  const fs::path& folder = checkpoint.path();
  if (checkpoint.tensors().size() != plan.layout().tensors.size()) {
    throw_data("{}: {} tensors, {} were planned", folder.string(), checkpoint.tensors().size(),
               plan.layout().tensors.size());
  }
  for (const io::PlannedTensor& planned : plan.layout().tensors) {
    const io::TensorEntry& found = checkpoint.at(planned.name);
    if (found.dtype != planned.dtype || found.shape != planned.shape) {
      throw_data("{}: tensor \"{}\" has not the dtype and shape that were planned", folder.string(),
                 planned.name);
    }
  }
  for (const PlannedFile& file : plan.files()) {
    const size_t found = MappedFile::open(folder / file.name)->size();
    if (found != file.bytes) {
      throw_data("{}: {} bytes, {} were planned", (folder / file.name).string(), found, file.bytes);
    }
  }
}

std::span<const std::byte> tensor_bytes(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

struct CheckpointExporter::State {
  State(CheckpointPlan planned, const fs::path& output, bool may_replace)
      : plan(std::move(planned)), folder(output), force(may_replace) {}

  void start(ExportMode mode);
  void start_fresh();
  void write(const std::string& name, std::span<const std::byte> bytes);
  std::vector<std::byte> float_bytes(const io::TensorSpec& tensor, std::span<const float> values,
                                     bool reciprocal, int64_t count = 1) const;
  void write_floats(const io::TensorSpec& tensor, std::span<const float> values,
                    bool reciprocal = false);
  void write_scales(const io::TensorSpec& tensor, size_t first_cell, const formats::Scales& scales);
  void write_weight(const PlannedLayer& layer, const at::Tensor& weight,
                    const io::TensorSpec* scale_tensor, const formats::Scales& scales);
  void write_piece(const io::TensorSpec& tensor, const PlannedLayer& layer, const StoredPart& part,
                   std::span<const std::byte> bytes);
  void write_codes(const PlannedLayer& layer, const at::Tensor& weight,
                   const std::vector<io::TensorSpec>& specs, const formats::Scales& scales);
  void write_expert(const PlannedLayer& layer, const at::Tensor& weight,
                    const std::vector<io::TensorSpec>& specs, const LayerValues& values);
  void check_finished() const;
  void write_files() const;

  CheckpointPlan plan;
  OutputFolder folder;
  bool force;
  /// Nothing if an earlier run wrote and verified all tensors.
  std::optional<io::CheckpointWriter> writer;
  bool published = false;
  std::unordered_map<std::string, std::vector<std::byte>> shared;  // numbers of fused experts
};

void CheckpointExporter::State::start_fresh() {
  folder.clear_partial();
  try {
    writer.emplace(folder.partial(), plan.shared_layout());
  } catch (const Error&) {
    folder.clear_partial();
    throw;
  }
}

void CheckpointExporter::State::start(ExportMode mode) {
  const fs::path& partial = folder.partial();
  throw_if_any("the checkpoint cannot be written",
               folder.problems(plan.source(), plan.required_bytes(), mode, force));
  remove_abandoned_files(partial);
  if (mode == ExportMode::kResume && io::CheckpointWriter::can_resume(partial)) {
    writer = io::CheckpointWriter::resume(partial, plan.shared_layout());
  } else if (mode == ExportMode::kFresh || !folder.is_complete(plan.layout().hash())) {
    start_fresh();
  }
}

void CheckpointExporter::State::write(const std::string& name, std::span<const std::byte> bytes) {
  check_internal(writer.has_value(), "tensor \"{}\" is written to a complete export", name);
  writer->write(name, bytes);
}

/// Scales, or their reciprocals, in the dtype that is planned for them, which must hold scales
/// exactly: packing used them. One value stands for `count`: a weight with one scale, where each
/// row has its own.
std::vector<std::byte> CheckpointExporter::State::float_bytes(const io::TensorSpec& tensor,
                                                              std::span<const float> values,
                                                              bool reciprocal,
                                                              int64_t count) const {
  std::vector<float> stored(values.begin(), values.end());
  if (stored.size() == 1 && count > 1) stored.assign(static_cast<size_t>(count), values[0]);
  for (float& value : stored) {
    check_internal(std::isfinite(value) && value > 0.0f, "{}: a scale of {}", tensor.name, value);
    if (reciprocal) value = 1.0f / value;
    check_internal(stored_scale(value, tensor.dtype) == value, "{}: {} cannot hold {}", tensor.name,
                   dtype_name(tensor.dtype), value);
  }
  return scale_bytes(stored, tensor.dtype);
}

void CheckpointExporter::State::write_floats(const io::TensorSpec& tensor,
                                             std::span<const float> values, bool reciprocal) {
  write(tensor.name, float_bytes(tensor, values, reciprocal));
}

void CheckpointExporter::State::write_scales(const io::TensorSpec& tensor, size_t first_cell,
                                             const formats::Scales& scales) {
  const size_t offset = first_cell * dtype_size(tensor.dtype);
  if (scales.kind == formats::ScaleKind::kFloat32) {
    const int64_t count = checked_numel(tensor.shape).value_or(1);
    writer->write(tensor.name, offset, float_bytes(tensor, scales.values, false, count));
  } else {
    writer->write(tensor.name, offset, bytes_of(scales.codes));
  }
}

namespace {

/// The bytes of a matrix [rows, cols], transposed.
at::Tensor transposed_bytes(std::span<const std::byte> bytes, int64_t rows, int64_t cols) {
  const auto element = static_cast<int64_t>(bytes.size()) / (rows * cols);
  return at::from_blob(const_cast<std::byte*>(bytes.data()), {rows, cols, element}, at::kByte)
      .transpose(0, 1)
      .contiguous();
}

}  // namespace

/// One expert's part of a tensor that holds all of them; what they share is written by the first.
void CheckpointExporter::State::write_piece(const io::TensorSpec& tensor, const PlannedLayer& layer,
                                            const StoredPart& part,
                                            std::span<const std::byte> bytes) {
  const FusedPlace& place = *layer.place;
  if (is_shared(part)) {
    const auto [first, added] = shared.try_emplace(tensor.name, bytes.begin(), bytes.end());
    check_internal(std::ranges::equal(first->second, bytes), "{}: it is one number for all experts",
                   tensor.name);
    if (added) write(tensor.name, bytes);
    return;
  }
  check_internal(writer.has_value(), "{} is written to a complete export", layer.scheme.path);
  const size_t offset = static_cast<size_t>(place.expert) * bytes.size();
  if (place.layout != ExpertLayout::kTransposed || tensor.shape.size() != 3)
    return writer->write(tensor.name, offset, bytes);
  writer->write(tensor.name, offset,
                tensor_bytes(transposed_bytes(bytes, tensor.shape[2], tensor.shape[1])));
}

/// The codes and the scales of cells of one expert.
void CheckpointExporter::State::write_codes(const PlannedLayer& layer, const at::Tensor& weight,
                                            const std::vector<io::TensorSpec>& specs,
                                            const formats::Scales& scales) {
  const at::Tensor source = weight.cpu().contiguous();
  std::vector<std::byte> codes(static_cast<size_t>(formats::packed_size(
      layer.storage.packing, layer.scheme.weight.element, layer.rows, layer.cols)));
  const formats::Scales used = pack_weight(
      layer,
      {source.const_data_ptr(), ir::to_dtype(source.scalar_type()), source.size(0), source.size(1)},
      scales, [&](size_t offset, std::span<const std::byte> bytes) {
        std::ranges::copy(bytes, codes.begin() + static_cast<std::ptrdiff_t>(offset));
      });
  for (size_t i = 0; i < specs.size(); ++i) {
    const StoredPart& part = layer.storage.parts[i];
    if (part.part == LayerPart::kWeight) write_piece(specs[i], layer, part, codes);
    if (part.part != LayerPart::kWeightScale) continue;
    const bool floats = used.kind == formats::ScaleKind::kFloat32;
    const int64_t count = part.shape == PartShape::kRows ? layer.rows : 1;
    const std::vector<std::byte> stored =
        floats ? float_bytes(specs[i], used.values, part.reciprocal, count)
               : std::vector<std::byte>();
    write_piece(specs[i], layer, part, floats ? std::span(stored) : bytes_of(used.codes));
  }
}

/// A layer that lies in one tensor with others.
void CheckpointExporter::State::write_expert(const PlannedLayer& layer, const at::Tensor& weight,
                                             const std::vector<io::TensorSpec>& specs,
                                             const LayerValues& values) {
  write_codes(layer, weight, specs, values.weight_scales);
  for (size_t i = 0; i < specs.size(); ++i) {
    const StoredPart& part = layer.storage.parts[i];
    const auto write_number = [&](float value) {
      write_piece(specs[i], layer, part, float_bytes(specs[i], {&value, 1}, part.reciprocal));
    };
    if (part.part == LayerPart::kGlobalScale) write_number(values.weight_scales.global_scale);
    if (part.part == LayerPart::kInputScale) write_number(*values.input_scale);
    if (part.part != LayerPart::kPreQuantScale) continue;
    const at::Tensor scale =
        values.pre_quant_scale.to(at::kCPU, ir::to_scalar_type(specs[i].dtype)).contiguous();
    write_piece(specs[i], layer, part, tensor_bytes(scale));
  }
}

/// The codes, and the scales of blocks that are computed on the way.
void CheckpointExporter::State::write_weight(const PlannedLayer& layer, const at::Tensor& weight,
                                             const io::TensorSpec* scale_tensor,
                                             const formats::Scales& scales) {
  check_internal(weight.dim() == 2, "{}: the weight has {} dimensions", layer.scheme.path,
                 weight.dim());
  check_internal(writer.has_value(), "{} is written to a complete export", layer.scheme.path);
  const at::Tensor source = weight.cpu().contiguous();
  const std::string name = layer.weight_name();
  const auto write_codes = [&](size_t offset, std::span<const std::byte> bytes) {
    writer->write(name, offset, bytes);
  };
  const auto write_part = [&](size_t first_cell, const formats::Scales& part) {
    write_scales(*scale_tensor, first_cell, part);
  };
  pack_weight(
      layer,
      {source.const_data_ptr(), ir::to_dtype(source.scalar_type()), source.size(0), source.size(1)},
      scales, write_codes, scale_tensor != nullptr ? ScaleSink(write_part) : ScaleSink());
}

void CheckpointExporter::State::check_finished() const {
  if (!writer) return;
  for (const ExportUnit& unit : plan.units()) {
    check_internal(writer->unit_finished(unit.name), "unit \"{}\" was not written", unit.name);
  }
}

void CheckpointExporter::State::write_files() const {
  for (const PlannedFile& file : plan.files()) write_planned_file(file, folder.partial());
}

std::vector<std::string> output_problems(const CheckpointPlan& plan, const fs::path& output,
                                         ExportMode mode, bool force) {
  return OutputFolder(output).problems(plan.source(), plan.required_bytes(), mode, force);
}

CheckpointExporter::CheckpointExporter(CheckpointPlan plan, const fs::path& output, ExportMode mode,
                                       bool force)
    : state_(std::make_unique<State>(std::move(plan), output, force)) {
  state_->start(mode);
}

CheckpointExporter::~CheckpointExporter() = default;
CheckpointExporter::CheckpointExporter(CheckpointExporter&&) noexcept = default;
CheckpointExporter& CheckpointExporter::operator=(CheckpointExporter&&) noexcept = default;

const CheckpointPlan& CheckpointExporter::plan() const { return state_->plan; }

const fs::path& CheckpointExporter::working_folder() const { return state_->folder.partial(); }

bool CheckpointExporter::unit_finished(std::string_view unit) const {
  return !state_->writer || state_->writer->unit_finished(unit);
}

void CheckpointExporter::write_quantized(const std::string& path, const at::Tensor& weight,
                                         const LayerValues& values) {
  const PlannedLayer& layer = state_->plan.layer(path);
  const bool input_planned = layer.storage.find(LayerPart::kInputScale) != nullptr;
  check_internal(values.input_scale.has_value() == input_planned, "{}: {} input scale", path,
                 values.input_scale ? "an unplanned" : "no");
  check_internal(values.pre_quant_scale.defined() == layer.scheme.pre_quant_scale,
                 "{}: {} pre_quant_scale", path,
                 layer.scheme.pre_quant_scale ? "no" : "an unplanned");

  const std::vector<io::TensorSpec> specs = layer.tensors();
  if (layer.is_fused()) return state_->write_expert(layer, weight, specs, values);
  const formats::Scales& scales = values.weight_scales;
  const bool has_scales = !scales.codes.empty() || !scales.values.empty();
  const io::TensorSpec* computed = nullptr;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (!has_scales && layer.storage.parts[i].part == LayerPart::kWeightScale) computed = &specs[i];
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    const StoredPart& part = layer.storage.parts[i];
    switch (part.part) {
      case LayerPart::kWeight:
        state_->write_weight(layer, weight, computed, scales);
        break;
      case LayerPart::kWeightScale:
        if (has_scales) state_->write_scales(specs[i], 0, scales);
        break;
      case LayerPart::kGlobalScale:
        state_->write_floats(specs[i], {&scales.global_scale, 1}, part.reciprocal);
        break;
      case LayerPart::kInputScale:
        state_->write_floats(specs[i], {&*values.input_scale, 1}, part.reciprocal);
        break;
      case LayerPart::kPreQuantScale:
        write_plain(specs[i].name, values.pre_quant_scale);
        break;
      case LayerPart::kWeightShape:
        state_->write(specs[i].name, bytes_of(std::vector<int64_t>{layer.rows, layer.cols}));
        break;
    }
  }
}

void CheckpointExporter::write_kv(const KvScheme& scheme, const KvValues& values) {
  const PlannedCache& cache = state_->plan.cache(scheme.key_path);
  if (cache.scheme.has_scales) {
    state_->write_floats(cache.key, {&values.key_scale, 1});
    state_->write_floats(cache.value, {&values.value_scale, 1});
  }
  if (!cache.scheme.is_affine()) return;
  write_plain(cache.key_bias.name, values.key_bias.view(cache.key_bias.shape));
  write_plain(cache.value_bias.name, values.value_bias.view(cache.value_bias.shape));
}

void CheckpointExporter::write_plain(const std::string& name, const at::Tensor& value) {
  const io::PlannedTensor& planned = state_->plan.tensor(name);
  check_internal(value.sizes() == at::IntArrayRef(planned.shape), "{}: not of the planned shape",
                 name);
  const at::ScalarType dtype = ir::to_scalar_type(planned.dtype);
  check_internal(
      value.scalar_type() == dtype || (value.is_floating_point() && at::isFloatingType(dtype)),
      "{}: not of the planned dtype", name);
  const at::Tensor stored = value.to(at::kCPU, dtype).contiguous();
  state_->write(name, tensor_bytes(stored));
}

void CheckpointExporter::write_fused(const FusedTensor& fused, size_t index,
                                     const at::Tensor& value) {
  check_internal(state_->writer.has_value(), "{} is written to a complete export",
                 fused.tensor.name);
  const at::Tensor turned = value.dim() == 2 ? value.t() : value;
  const at::Tensor stored =
      turned.to(at::kCPU, ir::to_scalar_type(fused.tensor.dtype)).contiguous();
  check_internal(at::IntArrayRef(fused.tensor.shape).slice(1) == stored.sizes(),
                 "{}: not of the planned shape", fused.parameters.at(index));
  state_->writer->write(fused.tensor.name, index * stored.nbytes(), tensor_bytes(stored));
}

void CheckpointExporter::write_plain(const std::string& name, std::span<const std::byte> bytes) {
  state_->write(name, bytes);
}

void CheckpointExporter::finish_unit(const std::string& unit) {
  check_internal(state_->writer.has_value(), "unit \"{}\" is finished in a complete export", unit);
  std::vector<std::string_view> names;
  for (const io::PlannedTensor& tensor : state_->plan.unit(unit).tensors)
    names.push_back(tensor.name);
  state_->writer->finish_unit(unit, names);
}

void CheckpointExporter::finish() {
  State& state = *state_;
  const fs::path& partial = state.folder.partial();
  check_internal(!state.published, "{}: finished twice", state.folder.path().string());
  state.check_finished();
  state.write_files();
  if (state.writer) {
    state.writer->verify();
    state.folder.mark_complete(state.plan.layout().hash());
    state.writer->finish();
    state.writer.reset();
  }
  const auto checkpoint = io::SafetensorsCheckpoint::open(partial);
  check_as_reader(state.plan, checkpoint);
  check_written(checkpoint, state.plan.dialect().name(), state.plan.target());
  state.folder.publish(state.force);
  state.published = true;
}

}  // namespace lathe::exporting
