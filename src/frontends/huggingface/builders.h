#pragma once

#include "frontends/huggingface/config.h"
#include "frontends/huggingface/weights.h"
#include "ir/model.h"

namespace lathe::frontends {

// Builders of models that are no decoders of decoder.h's kind. Each fills root, vocab_size and tied
// of the model; inputs and outputs have transformers' names; an option that is not supported is a
// UserError that names its key.

void build_gpt2(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_gpt_neox(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_opt(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_bert(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_bert_masked_lm(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_bert_classifier(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_roberta(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_roberta_masked_lm(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_roberta_classifier(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_vit(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_vit_classifier(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_whisper(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_whisper_generation(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_t5(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_t5_generation(const ConfigReader& config, Weights& weights, ir::Model& model);
void build_t5_encoder(const ConfigReader& config, Weights& weights, ir::Model& model);

}  // namespace lathe::frontends
