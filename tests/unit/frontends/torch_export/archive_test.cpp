// Reading archives: what is there, and what is wrong with broken ones.
#include "frontends/torch_export/archive.h"

#include <gmock/gmock.h>

#include "archive_fixture.h"
#include "base/error.h"
#include "frontends/torch_export/inline_graphs.h"

namespace lathe::frontends::torch_export {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

Archive read(const std::string& bytes) {
  return read_archive(std::as_bytes(std::span(bytes)), "net.pt2");
}

/// The message of the DataError that reading these bytes gives.
std::string data_error(const std::string& bytes) {
  try {
    read(bytes);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

TEST(Archive, TruncatedAnywhere) {
  const std::string bytes = zip_bytes(golden_entries("v2_11/subclassed"));
  for (size_t length = 0; length < bytes.size(); length += 97)
    EXPECT_THAT(data_error(bytes.substr(0, length)), HasSubstr("net.pt2")) << length;
}

TEST(Archive, IsOfAnotherKind) {
  EXPECT_THAT(data_error("no zip archive"), HasSubstr("no valid zip archive"));
  EXPECT_THAT(data_error(zip_bytes({{"a.txt", "text"}})), HasSubstr("no archive of torch.export"));
  EXPECT_THROW(read_archive(std::filesystem::path("/nowhere/net.pt2")), UserError);
}

TEST(Archive, HasOneModel) {
  Entries entries = golden_entries("v2_11/subclassed");
  Entries two = entries;
  two["subclassed/models/other.json"] = entry_ending(entries, "models/model.json");
  EXPECT_THAT(data_error(zip_bytes(two)), HasSubstr("expected one model, found 2"));
}

/// An archive, an entry of it, what is done to its JSON and what the message says.
struct Fault {
  const char* name;
  const char* archive;
  const char* entry;
  void (*edit)(Json&);
  const char* message;
};

Json& graph_of(Json& program) { return program["graph_module"]["graph"]; }

const Fault kFaults[] = {
    {"OlderSchema", "v2_11/subclassed", "models/model.json",
     [](Json& json) { json["schema_version"]["major"] = 7; }, "schema version 7.17; this build"},
    {"NewerSchema", "v2_6/vit", "serialized_exported_program.json",
     [](Json& json) { json["schema_version"]["major"] = 9; }, "schema version 9.2; this build"},
    {"CyclicGraph", "v2_11/subclassed", "models/model.json",
     [](Json& json) {
       node_named(json, "linear")["inputs"][0]["arg"]["as_tensor"]["name"] = "relu";
     },
     "node linear (torch.ops.aten.linear.default) reads the value relu, which is not computed"},
    {"ComputedTwice", "v2_11/subclassed", "models/model.json",
     [](Json& json) { node_named(json, "relu")["outputs"][0]["as_tensor"]["name"] = "linear"; },
     "the value linear is computed twice"},
    {"UnknownOutput", "v2_11/subclassed", "models/model.json",
     [](Json& json) { graph_of(json)["outputs"][0]["as_tensor"]["name"] = "nothing"; },
     "the output reads the value nothing"},
    {"SignatureOfAnotherGraph", "v2_11/subclassed", "models/model.json",
     [](Json& json) { json["graph_module"]["signature"]["input_specs"].erase(0); },
     "the signature lists"},
    {"SignatureNames", "v2_11/subclassed", "models/model.json",
     [](Json& json) {
       json["graph_module"]["signature"]["input_specs"][0]["parameter"]["arg"]["name"] = "x";
     },
     "in the signature"},
    {"UnknownInput", "v2_11/subclassed", "models/model.json",
     [](Json& json) {
       json["graph_module"]["signature"]["input_specs"][0] = {{"surprise", {{"arg", 1}}}};
     },
     "expected a known kind of input"},
    {"UnknownArgument", "v2_11/subclassed", "models/model.json",
     [](Json& json) {
       node_named(json, "relu")["inputs"][0]["arg"] = {{"as_surprise", 1}};
     },
     "expected a kind of argument of the schema"},
    {"StackWithoutClass", "v2_11/subclassed", "models/model.json",
     [](Json& json) { node_named(json, "relu")["metadata"]["nn_module_stack"] = "a,b"; },
     "key,path,class"},
    {"StackTooDeep", "v2_11/subclassed", "models/model.json",
     [](Json& json) {
       std::string stack = "r,,R";
       for (int i = 0; i < 70; ++i) stack += ";k,a,b";
       node_named(json, "relu")["metadata"]["nn_module_stack"] = stack;
     },
     "at most 64 calls"},
    {"OutputSpec", "v2_11/structures", "models/model.json",
     [](Json& json) {
       json["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] =
           R"([1, {"type": null, "context": null, "children_spec": []}])";
     },
     "the output spec has 1 leaves, the graph has"},
    {"SpecVersion", "v2_11/structures", "models/model.json",
     [](Json& json) {
       json["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = "[2, {}]";
     },
     "expected a pytree spec of version 1"},
    {"NoNodes", "v2_11/subclassed", "models/model.json",
     [](Json& json) { graph_of(json).erase("nodes"); }, "has no \"nodes\""},
    {"NodesAreNoList", "v2_11/subclassed", "models/model.json",
     [](Json& json) { graph_of(json)["nodes"] = "x"; }, "expected a list, found \"x\""},
    {"WeightTooLarge", "v2_11/subclassed", "weights_config.json",
     [](Json& json) { json["config"]["fc.weight"]["tensor_meta"]["sizes"][0]["as_int"] = 300; },
     "the tensor needs more bytes than there are"},
    {"WeightOverflows", "v2_11/subclassed", "weights_config.json",
     [](Json& json) {
       json["config"]["fc.weight"]["tensor_meta"]["strides"][0]["as_int"] = INT64_MAX;
     },
     "the tensor needs more bytes than there are"},
    {"WeightNegative", "v2_11/subclassed", "weights_config.json",
     [](Json& json) { json["config"]["fc.bias"]["tensor_meta"]["sizes"][0]["as_int"] = -1; },
     "a size or the offset is out of range"},
    {"WeightStride", "v2_11/subclassed", "weights_config.json",
     [](Json& json) { json["config"]["fc.bias"]["tensor_meta"]["strides"][0]["as_int"] = -1; },
     "a stride is negative"},
    {"WeightFile", "v2_11/subclassed", "weights_config.json",
     [](Json& json) { json["config"]["fc.bias"]["path_name"] = "weight_99"; },
     "the archive has no entry"},
    {"WeightDType", "v2_11/subclassed", "weights_config.json",
     [](Json& json) { json["config"]["fc.bias"]["tensor_meta"]["dtype"] = 77; },
     "expected a dtype that Lathe reads, found 77"},
    {"NoConfig", "v2_11/subclassed", "weights_config.json",
     [](Json& json) { json = Json::array(); }, "expected {\"config\": {...}}"},
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class ArchiveFault : public testing::TestWithParam<Fault> {};

TEST_P(ArchiveFault, IsNamed) {
  const Fault& fault = GetParam();
  Entries entries = golden_entries(fault.archive);
  EXPECT_NO_THROW(read(zip_bytes(entries)));
  edit_json(entries, fault.entry, fault.edit);
  EXPECT_THAT(data_error(zip_bytes(entries)), HasSubstr(fault.message));
}

INSTANTIATE_TEST_SUITE_P(Json, ArchiveFault, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Archive, EntriesThatAreMissing) {
  for (const char* entry : {"weights_config.json", "constants_config.json", "weight_0"}) {
    Entries entries = golden_entries("v2_11/subclassed");
    std::erase_if(entries, [&](const auto& item) { return item.first.ends_with(entry); });
    EXPECT_THAT(data_error(zip_bytes(entries)), HasSubstr(entry));
  }
  Entries old = golden_entries("v2_6/vit");
  old.erase("serialized_state_dict.pt");
  EXPECT_THAT(data_error(zip_bytes(old)), HasSubstr("serialized_state_dict.pt"));
}

/// The older layout's weights: a zip of torch.save within the zip.
std::string with_pickle(const std::string& pickle) {
  Entries entries = golden_entries("v2_6/vit");
  entries["serialized_state_dict.pt"] =
      zip_bytes({{"archive/data.pkl", pickle}, {"archive/data/0", std::string(16, '\0')}});
  return zip_bytes(entries);
}

std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

std::string text(const std::string& value) {
  return std::string("\x8c") + static_cast<char>(value.size()) + value;
}

/// A dict of one tensor of 4 floats; the arguments replace parts of it.
std::string tensor_pickle(const std::string& function, const std::string& storage_class,
                          const std::string& sizes) {
  return "\x80\x02}" + text("a") + function + "((" + text("storage") + storage_class + text("0") +
         text("cpu") + "K\x04tQK" + std::string(1, '\0') + sizes + "K\x01\x85\x89}tRs.";
}

TEST(Pickle, ReadsTensorsAndNothingElse) {
  const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2");
  const std::string floats = global("torch", "FloatStorage");
  const Archive archive = read(with_pickle(tensor_pickle(rebuild, floats, "K\x04\x85")));
  ASSERT_EQ(archive.weights.size(), 1u);
  EXPECT_EQ(archive.weights[0].name, "a");
  EXPECT_EQ(archive.weights[0].dtype, DType::kF32);
  EXPECT_EQ(archive.weights[0].sizes, std::vector<int64_t>{4});
  const auto error = [](const std::string& pickle) { return data_error(with_pickle(pickle)); };
  EXPECT_THAT(error(tensor_pickle(global("os", "system"), floats, "K\x04\x85")),
              HasSubstr("a is made by os.system, which is not read"));
  EXPECT_THAT(error(tensor_pickle(rebuild, global("torch", "QInt8Storage"), "K\x04\x85")),
              HasSubstr("storages of type torch.QInt8Storage are not read"));
  EXPECT_THAT(error(tensor_pickle(rebuild, floats, "K\x05\x85")),
              HasSubstr("the tensor needs more bytes than there are"));
  EXPECT_THAT(error(tensor_pickle(rebuild, floats, "K\x04")),
              HasSubstr("expected a tuple, found an integer"));
}

TEST(Pickle, FaultsOfTheStackMachine) {
  const auto error = [](const std::string& pickle) { return data_error(with_pickle(pickle)); };
  EXPECT_THAT(error(""), HasSubstr("the data end within a value"));
  EXPECT_THAT(error("\x80\x09."), HasSubstr("protocol 9, expected 2 to 5"));
  EXPECT_THAT(error("."), HasSubstr("it ends with other than one value"));
  EXPECT_THAT(error("R."), HasSubstr("a value is missing on the stack"));
  EXPECT_THAT(error("(R."), HasSubstr("a value is missing on the stack"));
  EXPECT_THAT(error("t."), HasSubstr("a mark is missing"));
  EXPECT_THAT(error("a."), HasSubstr("a value is missing on the stack"));
  EXPECT_THAT(error("KaKa\x61."), HasSubstr("an operation on a value of another kind"));
  EXPECT_THAT(error("h\x05."), HasSubstr("a memo that was never written"));
  EXPECT_THAT(error("}(Kau."), HasSubstr("a key without a value"));
  EXPECT_THAT(error("\x8a\x09"), HasSubstr("an integer of more than 64 bits"));
  EXPECT_THAT(error("i"), HasSubstr("opcode 0x69 is not one that torch.save writes"));
  EXPECT_THAT(error("X\xff\xff\xff\xff"), HasSubstr("the data end within a value"));
  EXPECT_THAT(error("]q\x01h\x01\x61."), HasSubstr("expected a call, found a list"));
}

TEST(Program, NamesOfOutputsComeFromTheSpec) {
  const auto names = [](const std::string& archive) {
    return read(zip_bytes(golden_entries(archive))).program.output_names;
  };
  EXPECT_EQ(names("v2_11/resnet"), std::vector<std::string>{"output"});
  EXPECT_EQ(names("v2_11/inception"), (std::vector<std::string>{"output_0", "output_1"}));
  EXPECT_EQ(names("v2_11/detr"), (std::vector<std::string>{"logits", "boxes"}));
  EXPECT_EQ(names("v2_11/named_tuple"), (std::vector<std::string>{"left", "right"}));
  EXPECT_EQ(names("v2_11/structures"),
            (std::vector<std::string>{"sum", "parts_0", "parts_1_0", "parts_1_1", "size", "flag"}));
}

TEST(Program, GraphsThatOnlyMatterToGradientsAreInlined) {
  for (const char* name : {"v2_6/no_grad", "v2_11/no_grad", "v2_15/no_grad"}) {
    Program program = read(zip_bytes(golden_entries(name))).program;
    const auto holders = [&] {
      return std::count_if(
          program.graph.nodes.begin(), program.graph.nodes.end(),
          [](const FlatNode& node) { return node.target.starts_with("torch.ops.higher_order"); });
    };
    EXPECT_EQ(holders(), 2) << name;
    inline_graphs(program);
    EXPECT_EQ(holders(), 0) << name;
  }
}

}  // namespace
}  // namespace lathe::frontends::torch_export
