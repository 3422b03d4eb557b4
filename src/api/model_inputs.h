#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/model_impl.h"

namespace lathe::api {

/// What a model takes under one name.
struct ModelInput {
  std::string name;
  at::ScalarType dtype;
  std::vector<std::optional<int64_t>> sizes;  // nothing: any; the first is that of samples
  bool required = true;
  std::optional<int64_t> limit = {};    // numbers are from 0 and below it: ids of a vocabulary
  std::optional<int64_t> longest = {};  // the most tokens of a sample
};

/// The inputs of a model that can be run: of a torch.export program as it was exported, of a
/// checkpoint as its config.json says.
std::vector<ModelInput> model_inputs(const Model::Impl& model);

/// "pixel_values", "input_features and decoder_input_ids": those that must be given.
std::string required_inputs(const Model::Impl& model);

/// Whether token ids are all that must be given, so that a text will do.
bool takes_text(const Model::Impl& model);

/// The most tokens that a sequence of ids may have; nothing where positions do not end.
std::optional<int64_t> longest_sequence(const Model::Impl& model);

}  // namespace lathe::api
