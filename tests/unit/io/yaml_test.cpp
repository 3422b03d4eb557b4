#include "io/yaml.h"

#include <cmath>
#include <limits>

#include "io/json.h"
#include "unit/io/hostile.h"
#include "unit/io/temporary_folder.h"

namespace lathe::io {
namespace {

using namespace std::string_literals;

nlohmann::ordered_json yaml(std::string_view text) { return parse_yaml(text, "t.yaml"); }
std::string as_json(std::string_view text) { return dump_json(yaml(text), -1); }
void parse(std::span<const std::byte> bytes) {
  parse_yaml({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "evil.yaml");
}

TEST(Yaml, Recipe) {
  EXPECT_EQ(
      as_json(R"(
# a recipe
format: nvfp4
weights: {group_size: 16, scale: e4m3}
layers:
  - pattern: "*.lm_head"
    enable: false
  - pattern: model.layers.*
    clip: 1e-3
)"),
      R"({"format":"nvfp4","weights":{"group_size":16,"scale":"e4m3"},"layers":[)"
      R"({"pattern":"*.lm_head","enable":false},{"pattern":"model.layers.*","clip":0.001}]})");
}

/// YAML 1.2, chapter 10.3.2: the core schema.
TEST(Yaml, PlainScalars) {
  EXPECT_EQ(as_json("[null, Null, NULL, ~, , nUll]"), R"([null,null,null,null,null,"nUll"])");
  EXPECT_EQ(as_json("[true, True, TRUE, false, False, FALSE, yes, no, on, off, tRue]"),
            R"([true,true,true,false,false,false,"yes","no","on","off","tRue"])");
  EXPECT_EQ(as_json("[0, -1, +12, 007, 0o17, 0xFf, 0o8, 0x, 1_000, 0b1, 12:30]"),
            R"([0,-1,12,7,15,255,"0o8","0x","1_000","0b1","12:30"])");
  EXPECT_EQ(
      as_json("[9223372036854775807, -9223372036854775808, 18446744073709551615, "
              "18446744073709551616]"),
      "[9223372036854775807,-9223372036854775808,18446744073709551615,1.8446744073709552e+19]");
  EXPECT_EQ(as_json("[1.5, -.5, +1., 1e-3, 1E5, .5e+2, 1e, e5, ., 1.2.3, -, 1e400, 1e-400]"),
            R"([1.5,-0.5,1.0,0.001,100000.0,50.0,"1e","e5",".","1.2.3","-",Infinity,0.0])");
  EXPECT_EQ(as_json("[.inf, -.inf, +.Inf, .nan, .NaN, inf, nan]"),
            R"([Infinity,-Infinity,Infinity,NaN,NaN,"inf","nan"])");
}

TEST(Yaml, QuotedAndBlockScalarsAreStrings) {
  EXPECT_EQ(as_json("['1', \"true\", '', \"a\\tb\", 'it''s']"), R"(["1","true","","a\tb","it's"])");
  EXPECT_EQ(as_json("a: |\n  12\n  x\nb: >\n  12\n"), R"({"a":"12\nx\n","b":"12\n"})");
}

TEST(Yaml, Tags) {
  EXPECT_EQ(
      as_json("[!!str 1, !!int 0x10, !!float 1, !!bool true, !!null ~, !!seq [1], !!map {a: 1}]"),
      R"(["1",16,1.0,true,null,[1],{"a":1}])");
}

TEST(Yaml, KeysAreText) {
  EXPECT_EQ(as_json("{1: a, true: b, \"x\": c, 2.0: d}"),
            R"({"1":"a","true":"b","x":"c","2.0":"d"})");
}

TEST(Yaml, EmptyDocuments) {
  EXPECT_TRUE(yaml("").is_null());
  EXPECT_TRUE(yaml("# nothing\n").is_null());
  EXPECT_TRUE(yaml("---\n...\n").is_null());
  EXPECT_EQ(as_json("---\na: 1\n"), R"({"a":1})");
}

TEST(Yaml, AnchorsAndAliases) {
  EXPECT_EQ(
      as_json("base: &b {x: 1, y: [&z 2, *z]}\none: *b\ntwo: [*b, *b]\n"),
      R"({"base":{"x":1,"y":[2,2]},"one":{"x":1,"y":[2,2]},"two":[{"x":1,"y":[2,2]},{"x":1,"y":[2,2]}]})");
}

TEST(Yaml, BillionLaughs) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    text += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j) text += fmt::format("{}*a{}", j == 0 ? "" : ", ", i - 1);
    text += "]\n";
  }
  EXPECT_NE(data_error_of([&] { yaml(text); }).find("too large"), std::string::npos);
}

TEST(Yaml, ErrorsHaveLineAndColumn) {
  EXPECT_EQ(data_error_of([] { parse_yaml("a: 1\nb: 2\na: 3\n", "recipe.yaml"); }),
            "recipe.yaml:3:1: not valid YAML: key \"a\" is given twice");
}

TEST(Yaml, Hostile) {
  std::string nested_maps;
  for (int i = 0; i < 5000; ++i)
    nested_maps += std::string(static_cast<size_t>(i % 60), ' ') + "a:\n";
  expect_refused(
      {
          {"a: [1", "evil.yaml:"},
          {"a: {b", "evil.yaml:"},
          {"\"x", "evil.yaml:"},
          {"a: b: c", "evil.yaml:"},
          {"a:\n\t- b", "evil.yaml:"},
          {"*unknown", "evil.yaml:"},
          {"&a [*a]", "an alias inside of what it names"},
          {"a: 1\n---\nb: 2\n", "more than one YAML document"},
          {"{a: 1, a: 2}", "key \"a\" is given twice"},
          {"{1: 1, '1': 2}", "key \"1\" is given twice"},
          {"{<<: {a: 1}}", "merge keys"},
          {"? [a]\n: b", "a key must be a scalar"},
          {"? {a: b}\n: c", "a key must be a scalar"},
          {"{&x b: 2}", "an anchor at a key"},
          {"{~: 1}", "a key expected"},
          {"&x a: 1\n*x : 2", "anchor"},
          {"a: &x b\n*x : 2", "an alias as a key"},
          {"!!python/object:os.system x", "tag"},
          {"!custom x", "tag"},
          {"!!int x", "tag"},
          {"!!bool 1", "tag"},
          {"!custom [x]", "unknown tag"},
          {"!!map [x]", "unknown tag"},
          {std::string(101, '[') + std::string(101, ']'), "nested more than 100"},
          {std::string(50'000, '['), "evil.yaml:"},
          {std::string(50'000, '{'), "evil.yaml:"},
          {"%YAML 3.0\n---\na", "evil.yaml:"},
      },
      parse);
}

TEST(Yaml, TruncationsAndMutationsDoNotCrash) {
  const std::string file =
      "a: &x [1, 'b', \"c\\u00e4\"]\nd:\n  - *x\n  - {e: !!str 1, f: |\n     text}\n# end\n? g\n: "
      ">-\n  h\n";
  for (size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);
    try {
      parse(bytes_of(cut));  // a YAML text may end anywhere
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find("evil.yaml"), std::string::npos);
    }
  }
  EXPECT_GT(count_refused_mutations(file, parse), 50);
}

TEST(Yaml, Files) {
  const TemporaryFolder folder;
  write_file(folder / "a.yaml", "a: 1");
  EXPECT_EQ(read_yaml(folder / "a.yaml")["a"], 1);
  error_of(ErrorKind::kUser, [&] { read_yaml(folder / "b.yaml"); });
}

}  // namespace
}  // namespace lathe::io
