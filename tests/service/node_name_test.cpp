// SPDX-License-Identifier: Apache-2.0
//
// What a node may be called, and what is shown of names that somebody else has written.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/service/node_file.hpp>
#include <sluice/service/service.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <string_view>
#include <support/failure.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using namespace std::string_view_literals;

struct NodeName : testing::Test {
  NodeName() {
    set_log_handler([this](const Failure& failure) { heard.push_back(failure); });
  }
  ~NodeName() override { set_log_handler({}); }

  /// Writes `bytes` at `offset` of the only file whose path, with a `$` behind it, has `part` in
  /// it.
  void scribble(const std::string& part, std::uint64_t offset, std::string_view bytes) {
    for (const std::string& name : root.files()) {
      if ((name + "$").find(part) == std::string::npos) continue;
      const File file(::open((root.path() + "/" + name).c_str(), O_WRONLY));
      ASSERT_EQ(::pwrite(file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset)),
                static_cast<ssize_t>(bytes.size()));
      return;
    }
    FAIL() << "no " << part;
  }

  TemporaryRoot root;
  std::vector<Failure> heard;
};

TEST_F(NodeName, MayBeEmptyOrHoldBlanksAndAnyLanguage) {
  for (const std::string& name : {std::string(), std::string("left camera"),
                                  std::string("Küche ☃ 左カメラ"), std::string(255, 'x')}) {
    const Node node(name);
    EXPECT_EQ(node.name(), name);
    ASSERT_EQ(nodes().size(), 1U);
    EXPECT_EQ(nodes()[0].name, name);
    const Publisher<int> publisher(node, "topic");
    ASSERT_EQ(services().size(), 1U);
    EXPECT_EQ(services()[0].ports[0].node_name, name);
  }
  EXPECT_TRUE(heard.empty());
}

TEST_F(NodeName, WhatIsWrongIsNamedWithItsByte) {
  const auto refused = [](std::string_view name, const std::vector<std::string>& words) {
    const auto node = Node::create(name);
    ASSERT_FALSE(node);
    EXPECT_TRUE(says(node.failure(), Errc::invalid_name, words));
    EXPECT_EQ(node.failure().message.find_first_of("\x1b\n\xff"sv), std::string::npos);
  };
  refused("a\0b"sv, {"node 'a\\x00b'", "0x00", "position 1", "control character"});
  refused("line\n", {"0x0a", "position 4", "control character"});
  refused("Küche\x1b[2J", {"0x1b", "position 6", "control character"});
  refused("a\xff", {"0xff", "position 1", "not UTF-8"});
  refused("caf\xc3", {"0xc3", "position 3", "not UTF-8"});
  refused(std::string(256, 'x'), {"256 bytes", "at most 255"});
  EXPECT_TRUE(root.files().empty());
}

TEST_F(NodeName, ThatATerminalWouldObeyIsPassedOver) {
  const Node node("drive");
  scribble("/nodes/", NodeFile::kTextOffset, "\x1b[2J\n");
  EXPECT_TRUE(nodes().empty());
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(says(heard[0], Errc::corrupted, {"/nodes/", "0x1b", "position 0", "remove it"}));
}

TEST_F(NodeName, OfAnExecutableIsEscaped) {
  const Node node("drive");
  scribble("/nodes/", NodeFile::kTextOffset + 5, "\x1b[2J");
  ASSERT_EQ(nodes().size(), 1U);
  EXPECT_EQ(nodes()[0].executable.substr(0, 7), "\\x1b[2J");
}

TEST_F(NodeName, WhoseTextIsCutIsPassedOver) {
  const Node node("drive");
  scribble("/nodes/", offsetof(NodeFile, name_bytes), "\xff\xff\xff\x7f");
  EXPECT_TRUE(nodes().empty());
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(says(heard[0], Errc::corrupted, {"/nodes/", "remove it"}));
}

TEST_F(NodeName, OfAServiceThatATerminalWouldObeyIsPassedOver) {
  const Node node("drive");
  const Publisher<int> publisher(node, "topic");
  scribble("/service$", ServiceFile::kTextOffset, "\x1b[2J\n");
  EXPECT_TRUE(services().empty());
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(says(heard[0], Errc::corrupted, {"/service", "0x1b", "position 0"}));
}

TEST_F(NodeName, OfAFileThatOthersChoseReachesTheHandlerEscaped) {
  const Node node("drive");
  const Publisher<int> publisher(node, "topic");
  const std::string services_path =
      root.path() + "/" + std::to_string(::geteuid()) + "/default/services/";
  const File planted(::open((services_path + "\x1b[2J\n").c_str(), O_CREAT | O_WRONLY, 0600));
  ASSERT_TRUE(planted.is_open());
  EXPECT_EQ(services().size(), 1U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].message.find("\\x1b[2J\\x0a"), std::string::npos) << heard[0].message;
  EXPECT_EQ(heard[0].message.find_first_of("\x1b\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice
