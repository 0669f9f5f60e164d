// SPDX-License-Identifier: Apache-2.0
//
// Requests and responses that tell whether they are whole and belong together, and two ports that
// check them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <sluice/sluice.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// A payload of more than a cache line, of which every word is the same.
struct Message {
  std::array<std::uint64_t, 12> words;

  void fill(std::uint64_t value) { words.fill(value); }
  [[nodiscard]] bool is(std::uint64_t value) const {
    for (const std::uint64_t word : words) {
      if (word != value) return false;
    }
    return true;
  }
};

inline constexpr const char* kExchangeService = "exchanges";

/// The response of which `sequence()` is `sequence` to a request that holds `value`.
constexpr std::uint64_t response_to(std::uint64_t value, std::uint64_t sequence) {
  return 1000 * value + sequence;
}

/// Answers requests as they are to be answered.
class Answerer {
 public:
  explicit Answerer(const Node& node, const ServerOptions& options = {})
      : server_(node, kExchangeService, options) {}

  Request<Message, Message> receive() { return checked(server_.receive()); }
  Request<Message, Message> wait(std::chrono::nanoseconds timeout) {
    return checked(server_.wait(timeout));
  }
  /// The next response. False where it was not to be had.
  bool respond(Request<Message, Message>& request) {
    auto loan = request.loan();
    if (!loan) return false;
    loan->fill(response_to(request->words[0], sent_[{request.client(), request.number()}]++));
    request.respond(std::move(loan));
    return true;
  }
  /// Answers every request that is there with `responses`, if somebody wants them, and ends it.
  /// Returns how many there were.
  std::size_t answer_all(std::size_t responses = 1) {
    std::size_t count = 0;
    while (auto request = receive()) {
      for (std::size_t i = 0; i < responses; ++i) {
        is_content_ &= respond(request) || request.abandoned();
      }
      ++count;
    }
    return count;
  }

  /// Whether every request so far was whole.
  [[nodiscard]] bool is_content() const { return is_content_; }
  Server<Message, Message>& port() { return server_; }

 private:
  Request<Message, Message> checked(Request<Message, Message> request) {
    if (request) {
      is_content_ &= request->is(request->words[0]);
      sent_[{request.client(), request.number()}] = 0;
    } else {
      is_content_ &= request.error() == Errc::ok || request.error() == Errc::timed_out;
    }
    return request;
  }

  Server<Message, Message> server_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> sent_;  // responses
  bool is_content_ = true;
};

/// Asks, and checks the responses.
class Asker {
 public:
  struct Question {
    Pending<Message> pending;
    std::uint64_t value;
  };

  explicit Asker(const Node& node, const ClientOptions& options = {})
      : client_(node, kExchangeService, options) {}

  Question ask() {
    auto loan = client_.loan();
    if (!loan) return {Pending<Message>(loan.error()), 0};
    loan->fill(++asked_);
    return {client_.send(std::move(loan)), asked_};
  }
  Sample<Message> receive(Question& question) {
    return checked(question, question.pending.receive());
  }
  Sample<Message> wait(Question& question, std::chrono::nanoseconds timeout) {
    return checked(question, question.pending.wait(timeout));
  }
  /// Takes and releases what is there; returns how many there were.
  std::size_t drain(Question& question) {
    std::size_t count = 0;
    while (receive(question)) ++count;
    return count;
  }

  /// Whether every response so far was whole, to its request, and in order.
  [[nodiscard]] bool is_content() const { return is_content_; }
  Client<Message, Message>& port() { return client_; }

 private:
  Sample<Message> checked(const Question& question, Sample<Message> sample) {
    if (sample) {
      is_content_ &= sample->is(response_to(question.value, sample.sequence()));
    } else {
      is_content_ &= sample.error() == Errc::ok || sample.error() == Errc::timed_out ||
                     sample.error() == Errc::peer_died;
    }
    return sample;
  }

  Client<Message, Message> client_;
  std::uint64_t asked_ = 0;
  bool is_content_ = true;
};

}  // namespace sluice
