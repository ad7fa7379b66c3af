// What rules remember from packet to packet: positions of `statistic --mode
// nth`, token buckets of limit and hashlimit, lists of recent. State of one
// node, as a value; it lives as long as the rules are not loaded anew.
#ifndef K8SDNS_DATAPLANE_RULE_STATE_H_
#define K8SDNS_DATAPLANE_RULE_STATE_H_

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/ops.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::dataplane {

// A match of a rule: family, table, chain, rule from 1, position in it.
using MatchPosition =
    std::tuple<IpFamily, uint8_t, uint32_t, uint32_t, uint32_t>;

// A bucket of time: a packet costs `cost`, and time that passes fills it up
// to `capacity`. Units: microseconds.
struct TokenBucket {
  int64_t credit_us = 0;
  int64_t at_us = 0;

  bool Take(int64_t cost_us, int64_t capacity_us, int64_t now_us);
  friend bool operator==(const TokenBucket&, const TokenBucket&) = default;
};

// One list of the recent match (xt_recent.c).
struct RecentList {
  struct Entry {
    IpAddress address;
    uint8_t ttl = 0;
    // Times of the last packets, a ring of `stamps_kept`.
    std::vector<int64_t> stamps;
    uint32_t next = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  // Least recently seen first.
  std::list<Entry> entries;
  uint32_t mask[4] = {~0u, ~0u, ~0u, ~0u};
  uint32_t stamps_kept = 1;
  friend bool operator==(const RecentList&, const RecentList&) = default;
};

struct HashlimitKey {
  IpAddress src;
  IpAddress dst;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  friend auto operator<=>(const HashlimitKey&, const HashlimitKey&) = default;
};

struct RuleState {
  std::map<MatchPosition, uint32_t> nth;
  std::map<MatchPosition, TokenBucket> limits;
  std::map<std::pair<std::string, HashlimitKey>, TokenBucket> hashlimits;
  std::map<std::string, RecentList> recent;

  friend bool operator==(const RuleState&, const RuleState&) = default;
};

// Makes the lists that a rule's recent matches name.
void DeclareRecentLists(netfilter::RuleView rule,
                        const netfilter::StringPool& strings, RuleState& state);

// What a recent match looks at.
struct RecentQuery {
  IpAddress address;
  uint8_t ttl = 0;
  int64_t now_us = 0;
};
// Whether `-m recent` matches, with all that it changes.
bool MatchRecent(const netfilter::RecentMatch& match, const RecentQuery& query,
                 RecentList& list);

}  // namespace k8sdns::dataplane

#endif  // K8SDNS_DATAPLANE_RULE_STATE_H_
