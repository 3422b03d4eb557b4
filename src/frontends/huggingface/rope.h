#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "frontends/huggingface/rope_settings.h"
#include "ir/module.h"

namespace lathe::frontends {

struct Rope {
  at::Tensor inv_freq;  // float32 [size / 2]
  double attention_scaling;
};

/// The frequencies of `size` rotated elements in float32, computed in the order of transformers, so
/// that they agree to the last bit. dynamic and longrope: those within the trained context.
Rope make_rope(const RopeSettings& settings, int64_t size);

/// What llama3 scaling divides each frequency by: float32 [size / 2].
at::Tensor llama3_divisors(const RopeSettings& settings, int64_t size);

/// The leaf that makes cos and sin: RotaryEmbedding, or the type whose frequencies depend on the
/// length of the sequence. DataError, which names `source_name`, if longrope's factors are not as
/// many as the frequencies of `size` rotated elements.
ir::ModulePtr make_rotary_embedding(const RopeSettings& settings, int64_t size,
                                    const std::string& source_name);

}  // namespace lathe::frontends
