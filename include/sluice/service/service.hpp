// SPDX-License-Identifier: Apache-2.0
//
// A service: a directory that lives as long as somebody is in it. Every participant holds a shared
// lock on its file `service`; whoever gets the exclusive lock is alone, and removes the directory.
//
//   service, written before it can be seen
//   0        64        68           72
//   | header | pattern | name bytes | schema bytes          |
//   76                              80
//   | response schema bytes         | name, schemas …       |
//
// `service` disappears last: killed in the middle of the removal, the next who comes finishes it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/reflect/schema.hpp>
#include <sluice/service/board.hpp>
#include <sluice/service/node_file.hpp>
#include <sluice/service/open_mode.hpp>
#include <sluice/service/port_kind.hpp>
#include <string>
#include <string_view>

namespace sluice {

enum class Pattern : std::uint32_t { publish_subscribe = 1, request_response, event, work_queue };

inline constexpr std::array kPatterns{Pattern::publish_subscribe, Pattern::request_response,
                                      Pattern::event, Pattern::work_queue};

/// "publish-subscribe", "request-response", "event", "work-queue"
[[nodiscard]] std::string_view to_string(Pattern pattern) noexcept;
/// The name of the service's directory. Each pattern has services of its own.
[[nodiscard]] std::string key_of_service(Pattern pattern, std::string_view name);

struct ServiceFile {
  FileHeader header;
  Pattern pattern;
  std::uint32_t name_bytes;
  std::uint32_t schema_bytes;
  std::uint32_t response_schema_bytes;  ///< 0 but for request-response

  static constexpr std::uint64_t kTextOffset = 80;
};
static_assert(sizeof(ServiceFile) == ServiceFile::kTextOffset);

struct ServiceDescription {
  Pattern pattern = Pattern::publish_subscribe;
  std::string name;
  Schema schema;                        ///< of the payload or request; empty for events
  std::optional<Schema> response = {};  ///< of the response, for request-response
};

/// What the `service` file in `file` says. Errors: corrupted, version_mismatch.
[[nodiscard]] Result<ServiceDescription> describe(const SharedFile& file);

/// A node's membership, which its ports share. Thread safety: any thread.
class Service {
 public:
  /// Joins the service of `description`, or creates it, as `mode` says; where a port of the node is
  /// in it already, and new ports meet there still, that one's membership is returned. Others may
  /// create and leave it at the same moment; gives up after 10 s of that.
  /// Errors: invalid_name, type_mismatch (names the first field that differs), corrupted,
  /// version_mismatch, no_permission, no_memory, forked, closed (`node` is null), timed_out,
  /// not_found (open_only), already_exists (create_only: says who is there), system.
  [[nodiscard]] static Result<std::shared_ptr<Service>> join(
      const std::shared_ptr<const NodeState>& node, const ServiceDescription& description,
      OpenMode mode = OpenMode::open_or_create);
  /// One that nobody is in, for a port that was never open: it has neither a directory nor a board.
  [[nodiscard]] static std::shared_ptr<Service> none();
  [[nodiscard]] bool was_joined() const noexcept { return node_ != nullptr; }
  /// Leaves, and removes the directory if nobody else is in it.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const Directory& directory() const noexcept { return directory_; }
  [[nodiscard]] Board& board() const noexcept { return *board_words_; }
  [[nodiscard]] const NodeState& node() const noexcept { return *node_; }

  /// Where those who join now meet: in this directory and with its own files, nowhere yet (there is
  /// no such directory), or elsewhere. Not `same` where somebody removed or moved what is in use.
  /// System calls.
  enum class Place : std::uint8_t { same, gone, other };
  [[nodiscard]] Place place() const noexcept;

  /// Permissions of a port's file.
  [[nodiscard]] mode_t port_mode() const noexcept { return file_mode(node_->options().access); }
  /// Permissions of what others than its owner write: a mailbox, a queue, a wake pipe.
  [[nodiscard]] mode_t shared_mode() const noexcept {
    return shared_page_mode(node_->options().access);
  }

 private:
  Service(std::shared_ptr<const NodeState> node, const std::string& name, const std::string& key)
      : node_(std::move(node)), name_(name), key_(key) {}

  [[nodiscard]] static Result<std::shared_ptr<Service>> join_once(
      const std::shared_ptr<const NodeState>& node, const ServiceDescription& description,
      OpenMode mode);
  Result<void> try_join(const ServiceDescription& description, OpenMode mode);
  Result<void> create_file(const ServiceDescription& description);
  Result<void> enter(OpenMode mode);
  Result<void> check_existence(SharedFile& file, OpenMode mode);
  [[nodiscard]] Result<void> check_type(const ServiceDescription& description) const;
  [[nodiscard]] Failure exists_already() const;
  Result<void> open_board();

  std::shared_ptr<const NodeState> node_;
  std::string name_;
  std::string key_;  // of its directory
  Directory directory_;
  SharedFile file_;   // locked
  SharedFile board_;  // its descriptor is closed
  FileStatus board_status_;
  Board* board_words_ = nullptr;
};

/// Opens `service` in `directory`, for writing where this user may.
[[nodiscard]] Result<SharedFile> open_service_file(const Directory& directory);

/// Removes the service with the open file `service` if nobody else is in it. Returns the number of
/// files removed. Errors: as `try_lock`.
Result<std::uint32_t> remove_service(SharedFile& service, const std::string& key,
                                     const Directory& directory);

}  // namespace sluice
