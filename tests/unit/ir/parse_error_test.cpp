#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"

namespace lathe::ir {
namespace {

struct Malformed {
  const char* text;
  const char* message;
};

const Malformed kMalformed[] = {
    {"", "line 1: expected \"module\", found \"\""},
    {"modules A {}", "line 1: expected \"module\""},
    {"module A", "line 1: expected \"{\", found \"\""},
    {"module {}", "line 1: expected a name, found \"{}\""},
    {"module A {", "line 1: expected attribute, parameter, buffer, graph, child or \"}\""},
    {"module A {\n} rest", "line 2: expected the end of the text, found \"rest\""},
    {"module A {\n\n  weight: f32[1]\n}", "line 3: expected attribute, parameter, buffer"},
    {"module A {\n  attribute x 1\n}", "line 2: expected \"=\", found \"1\""},
    {"module A {\n  attribute x = ?\n}", "line 2: expected a number of 64 bits, found \"?\""},
    {"module A {\n  attribute x = 1.2.3\n}", "line 2: expected a number"},
    {"module A {\n  attribute x = 9223372036854775808\n}", "line 2: expected a number of 64 bits"},
    {"module A {\n  attribute x = 1e999\n}", "line 2: expected a number of 64 bits"},
    {"module A {\n  attribute x = [1, 2.5]\n}", "line 2: expected an integer"},
    {"module A {\n  attribute x = [1 2]\n}", "line 2: expected \",\", found \"2]\""},
    {"module A {\n  attribute x = \"open\n}", "line 2: expected a closing quote"},
    {"module A {\n  attribute x = \"\\", "line 2: expected an escaped character"},
    {"module A {\n  attribute x = 1\n  attribute x = 2\n}",
     "line 3: expected a name other than x, which is taken"},
    {"module A {\n  child b: B {}\n  child b: B {}\n}",
     "line 3: expected a name other than b, which is taken"},
    {"module A {\n  child b B {}\n}", "line 2: expected \":\""},
    {"module A {\n  parameter w: f33[1] &1\n}", "line 2: expected a dtype before this"},
    {"module A {\n  parameter w: f32(1) &1\n}", "line 2: expected \"[\""},
    {"module A {\n  parameter w: f32[-1] &1\n}", "line 2: expected sizes of a tensor"},
    {"module A {\n  parameter w: f32[4294967296, 4294967296] &1\n}",
     "line 2: expected sizes of a tensor"},
    {"module A {\n  parameter w: f32[1]\n}", "line 3: expected \"&\""},
    {"module A {\n  parameter w: f32[1] &1\n  buffer v: f32[2] &1\n}",
     "line 3: expected the dtype and shape of this parameter's first mention, f32[1]"},
    {"module A {\n  parameter w: f32[1] &1\n  parameter w: f32[1] &2\n}",
     "line 3: expected a name other than w"},
    {"module A {\n  graph @1\n}", "line 3: expected a graph that was written before"},
    {"module A {\n  graph 1 {}\n}", "line 2: expected \"@\""},
    {"module A {\n  graph @1 {}\n  graph @2 {}\n}", "line 3: expected one graph a module"},
    {"module A {\n  graph @1 {}\n  child b: B {\n    graph @1 {}\n  }\n}",
     "line 4: expected a graph's number that is not taken"},
    {"module A {\n  graph @1 {\n    x = placeholder \"x\"\n  }\n}", "line 3: expected \"%\""},
    {"module A {\n  graph @1 {\n    %x = place\n  }\n}",
     "line 3: expected placeholder, get_attr, call_op or call_module, found \"place\""},
    {"module A {\n  graph @1 {\n    %x = placeholder x\n  }\n}", "line 3: expected \"\"\""},
    {"module A {\n  graph @1 {\n    %x = placeholder \"x\"\n    %x = get_attr w\n  }\n}",
     "line 4: expected a name other than %x, which is taken"},
    {"module A {\n  graph @1 {\n    %x = placeholder \"x\"\n    %y = placeholder \"y\" default "
     "%x\n  }\n}",
     "line 4: expected a value that was computed before %x"},
    {"module A {\n  graph @1 {\n    output(%y)\n  }\n}",
     "line 3: expected a value that was computed before %y"},
    {"module A {\n  graph @1 {\n    output(@f99)\n  }\n}", "line 3: expected a dtype before this"},
    {"module A {\n  graph @1 {\n    output(1 2)\n  }\n}", "line 3: expected \",\""},
    {"module A {\n  graph @1 {\n    output(1,", "line 3: expected a name, found \"\""},
    {"module A {\n  graph @1 {\n    %x = call_op aten::add(a=)\n  }\n}",
     "line 3: expected a number"},
};

TEST(ParseError, NamesTheLine) {
  for (const Malformed& malformed : kMalformed) {
    try {
      parse_module(malformed.text);
      ADD_FAILURE() << "was read: " << malformed.text;
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, std::string(malformed.message).size()),
                malformed.message)
          << malformed.text;
    }
  }
}

std::string nested_children(int depth) {
  std::string text = "module A {";
  for (int i = 0; i < depth; ++i) text += "child a: A {";
  return text + std::string(static_cast<size_t>(depth) + 1, '}');
}

std::string nested_lists(int depth) {
  const auto size = static_cast<size_t>(depth);
  return "output(" + std::string(size, '[') + std::string(size, ']') + ")";
}

TEST(ParseError, DepthIsLimited) {
  EXPECT_NO_THROW(parse_module(nested_children(200)));
  EXPECT_THROW(parse_module(nested_children(201)), DataError);
  EXPECT_THROW(parse_module(nested_children(1'000'000)), DataError);
  EXPECT_NO_THROW(parse_graph(nested_lists(200)));
  EXPECT_THROW(parse_graph(nested_lists(202)), DataError);
  EXPECT_THROW(parse_graph(nested_lists(1'000'000)), DataError);
}

}  // namespace
}  // namespace lathe::ir
