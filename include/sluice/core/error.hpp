// SPDX-License-Identifier: Apache-2.0
//
// Causes of failure. Every fallible call reports one `Errc` and a message that says what was
// needed, what was there and what to do. docs/reference.md lists each cause with its cure.
#pragma once

#include <stdexcept>
#include <string>
#include <system_error>

namespace sluice {

enum class Errc : int {
  ok = 0,          ///< No failure; from `receive`: nothing there yet.
  would_block,     ///< No room until a subscriber (lossless) or client reads on, or work is done.
  timed_out,       ///< The time given to a wait is over.
  too_many_loans,  ///< More loans held than the port's `max_loans` (requests: `max_pending`).
  too_many_borrowed,  ///< More samples held than `max_borrowed` (`max_jobs`, `max_requests`).
  too_many_ports,     ///< Every seat of the service is taken.
  no_memory,          ///< The file system under the root has no room.
  no_address_space,   ///< The process cannot map more (RLIMIT_AS, RLIMIT_MEMLOCK).
  no_permission,      ///< Files or directories belong to somebody who keeps this user out.
  invalid_name,       ///< Empty, too long, or with characters that are not allowed.
  invalid_options,    ///< An option outside its limits, or not what the service has.
  type_mismatch,      ///< The service or object has another payload type.
  delivery_mismatch,  ///< The service has another delivery policy.
  version_mismatch,   ///< A file made by another layout version, byte order or word size.
  corrupted,          ///< A file that is empty, truncated, or does not hold what it should.
  locks_unsupported,  ///< The file system under the root has no working locks.
  already_exists,     ///< A segment or object of that name is there already.
  not_found,          ///< No segment or object of that name.
  forked,             ///< A port of the parent process was used in a forked child.
  peer_died,          ///< The server died, or left, before it had ended the request.
  unanswered,         ///< Every server ended the request without a response.
  abandoned,          ///< Nobody wants responses to this request any more.
  closed,             ///< A moved-from or closed port, loan or sample was used.
  interrupted,        ///< `interrupt()` ended the wait.
  system,             ///< Any other failure of the operating system; the message has its words.
};

/// Why something failed: the cause, and a message for people.
struct Failure {
  Errc code = Errc::ok;
  std::string message;
};

const std::error_category& error_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;

/// Thrown by constructors of nodes and ports and by `Result::value()`.
class Error : public std::system_error {
 public:
  explicit Error(const Failure& failure)
      : std::system_error(make_error_code(failure.code), failure.message) {}

  [[nodiscard]] Errc cause() const noexcept { return static_cast<Errc>(code().value()); }
};

/// Prints `message` to standard error and aborts. For programmer's errors, and for failures where
/// exceptions are switched off.
[[noreturn]] void abort_with(const char* message) noexcept;

/// Throws `failure` as `Error`; without exceptions, prints it and aborts.
[[noreturn]] [[gnu::always_inline]] inline void raise(const Failure& failure) {
#if defined(__cpp_exceptions)
  throw Error(failure);
#else
  abort_with(failure.message.c_str());
#endif
}

/// Throws `std::out_of_range`; without exceptions, prints `message` and aborts.
[[noreturn]] inline void raise_out_of_range(const char* message) {
#if defined(__cpp_exceptions)
  throw std::out_of_range(message);
#else
  abort_with(message);
#endif
}

}  // namespace sluice

template <>
struct std::is_error_code_enum<sluice::Errc> : std::true_type {};
