#include "k8sdns/dataplane/rule_state.h"

#include <algorithm>
#include <bit>

namespace k8sdns::dataplane {
namespace {

constexpr int64_t kSecond = 1'000'000;
// Addresses that a list holds (module parameter ip_list_tot).
constexpr size_t kMaxRecentEntries = 100;

using Entries = std::list<RecentList::Entry>;

IpAddress Masked(const IpAddress& address, const uint32_t (&mask)[4]) {
  uint32_t words[4];
  netfilter::StoreAddress(address, words);
  for (int i = 0; i < 4; ++i) words[i] &= mask[i];
  return netfilter::LoadAddress(address.family(), words);
}

void Stamp(RecentList& list, Entries::iterator entry,
           const RecentQuery& query) {
  entry->next &= list.stamps_kept - 1;
  if (entry->next == entry->stamps.size()) {
    entry->stamps.push_back(query.now_us);
  } else {
    entry->stamps[entry->next] = query.now_us;
  }
  ++entry->next;
  entry->ttl = query.ttl;
  list.entries.splice(list.entries.end(), list.entries, entry);
}

}  // namespace

bool TokenBucket::Take(int64_t cost_us, int64_t capacity_us, int64_t now_us) {
  credit_us = std::min(capacity_us, credit_us + (now_us - at_us));
  at_us = now_us;
  if (credit_us < cost_us) return false;
  credit_us -= cost_us;
  return true;
}

void DeclareRecentLists(netfilter::RuleView rule,
                        const netfilter::StringPool& strings,
                        RuleState& state) {
  for (netfilter::OpView op : rule.ops()) {
    if (op.kind() != netfilter::OpKind::kRecent) continue;
    const auto match = op.As<netfilter::RecentMatch>();
    auto [it, added] =
        state.recent.try_emplace(std::string(strings.Get(match.name)));
    if (added && match.has_mask) {
      std::copy(match.mask, match.mask + 4, it->second.mask);
    }
    const uint32_t kept =
        match.hit_count != 0 ? std::bit_ceil(+match.hit_count) : 32;
    it->second.stamps_kept = std::max(it->second.stamps_kept, kept);
  }
}

bool MatchRecent(const netfilter::RecentMatch& match, const RecentQuery& query,
                 RecentList& list) {
  using netfilter::RecentMatch;
  const IpAddress address = Masked(query.address, list.mask);
  auto entry = std::find_if(list.entries.begin(), list.entries.end(),
                            [&](const RecentList::Entry& e) {
                              if (e.address != address) return false;
                              return !match.ttl || query.ttl == e.ttl ||
                                     query.ttl == 0 || e.ttl == 0;
                            });
  const bool inverted = match.invert;
  if (entry == list.entries.end()) {
    if (match.mode != RecentMatch::kSet) return inverted;
    if (list.entries.size() >= kMaxRecentEntries) list.entries.pop_front();
    list.entries.push_back({address, query.ttl, {query.now_us}, 1});
    return !inverted;
  }
  bool matches = inverted;
  switch (match.mode) {
    case RecentMatch::kSet:
      matches = !inverted;
      Stamp(list, entry, query);
      break;
    case RecentMatch::kRemove:
      matches = !inverted;
      list.entries.erase(entry);
      break;
    case RecentMatch::kCheck:
    case RecentMatch::kUpdate: {
      const int64_t since = query.now_us - match.seconds * kSecond;
      uint32_t hits = 0;
      for (int64_t stamp : entry->stamps) {
        if (match.seconds != 0 && stamp < since) continue;
        if (match.hit_count == 0 || ++hits >= match.hit_count) {
          matches = !inverted;
          break;
        }
      }
      const bool update = match.mode == RecentMatch::kUpdate && matches;
      if (match.reap && !list.entries.empty()) {
        auto oldest = list.entries.begin();
        if (!(oldest == entry && update) &&
            oldest->stamps[oldest->next - 1] < since) {
          if (oldest == entry) entry = list.entries.end();
          list.entries.erase(oldest);
        }
      }
      if (update && entry != list.entries.end()) Stamp(list, entry, query);
      break;
    }
    default:
      break;
  }
  return matches;
}

}  // namespace k8sdns::dataplane
