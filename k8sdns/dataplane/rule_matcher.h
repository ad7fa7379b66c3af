// What runs a table's rules at a hook. LinearMatcher and Matcher are the two
// implementations; they give the same answers.
#ifndef K8SDNS_DATAPLANE_RULE_MATCHER_H_
#define K8SDNS_DATAPLANE_RULE_MATCHER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "k8sdns/dataplane/rule_context.h"
#include "k8sdns/dataplane/trace.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

struct TableVerdict {
  enum Kind : uint8_t { kAccept, kDrop, kReject, kUnknown };
  // Where and why it is not known. Kept apart: it is rare, and strings would
  // have to be made and unmade for every packet.
  struct Open {
    std::string rule;  // "filter:FORWARD:rule:3"
    std::string reason;
  };

  Kind kind = kAccept;
  uint8_t with = 0;            // kReject: RejectTarget::With
  std::unique_ptr<Open> open;  // kUnknown

  static TableVerdict Unknown(std::string rule, std::string reason) {
    TableVerdict verdict;
    verdict.kind = kUnknown;
    verdict.open = std::make_unique<Open>();
    verdict.open->rule = std::move(rule);
    verdict.open->reason = std::move(reason);
    return verdict;
  }
};

// Immutable; may be shared between threads.
class RuleMatcher {
 public:
  virtual ~RuleMatcher() = default;

  virtual const netfilter::Ruleset& rules() const = 0;
  // Runs the built-in chain of context.hook in context.table, if there is
  // one. Steps are appended to `trace` unless it is nullptr.
  virtual TableVerdict Run(RuleContext& context, Trace* trace) const = 0;

  // Speed only: false if Run() there does nothing but accept; without a trace
  // also a chain without rules does not.
  bool Acts(netfilter::TableId table, netfilter::Hook hook, bool traced) const {
    return ((traced ? acts_traced_ : acts_) >> Bit(table, hook) & 1) != 0;
  }

  // After so many rules, those that are skipped included, a walk is said to be
  // a loop: Unknown.
  static constexpr uint64_t kMaxSteps = 10'000'000;

  // Speed only. What is left of a hook's rules for a packet of which only this
  // is known: hook, table, devices, mark, protocol, the family of its addresses
  // and what it is to conntrack. Of the context nothing else is used.
  struct Residue {
    enum Kind : uint8_t {
      kAnything,
      kAccepts,  // it passes, and nothing comes of it
      kLooksUp,  // first of all a chain is called: see ChooseEndpoint()
    };
    Kind kind = kAnything;
    const void* chain = nullptr;
  };
  virtual Residue ResidueOf(RuleContext& context) const {
    (void)context;
    return {};
  }
  // Speed only. If the chain of a residue of nat takes the packet to the chain
  // of a Service: the endpoint that it chooses, with all that the rules do to
  // `mark`. nullopt: nothing was drawn, the rules have to be run.
  struct Endpoint {
    IpAddress address;
    uint16_t port;
  };
  virtual std::optional<Endpoint> ChooseEndpoint(const Residue& residue,
                                                 const Packet& packet,
                                                 Decisions& decisions,
                                                 uint32_t& mark) const {
    (void)residue, (void)packet, (void)decisions, (void)mark;
    return std::nullopt;
  }

  // Speed only: asks memory for what the packet's rules will need: by a guess,
  // or in two steps with other packets between them.
  enum class Ahead : uint8_t { kGuess, kFirst, kSecond };
  virtual void Prefetch(const Packet& packet, Ahead step) const {
    (void)packet, (void)step;
  }

 protected:
  // To be called while it is made.
  void SetActs(netfilter::TableId table, netfilter::Hook hook, bool traced,
               bool untraced) {
    const uint32_t bit = uint32_t{1} << Bit(table, hook);
    acts_traced_ = traced ? acts_traced_ | bit : acts_traced_ & ~bit;
    acts_ = untraced ? acts_ | bit : acts_ & ~bit;
  }

 private:
  static int Bit(netfilter::TableId table, netfilter::Hook hook) {
    return static_cast<int>(table) * 5 + static_cast<int>(hook);
  }

  uint32_t acts_ = ~uint32_t{0};
  uint32_t acts_traced_ = ~uint32_t{0};
};

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_MATCHER_H_
