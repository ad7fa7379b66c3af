#include "k8sdns/netfilter/ipset_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::netfilter {
namespace {

template <typename... Args>
bool Because(std::string* why, const Args&... args) {
  *why = absl::StrCat(args...);
  return false;
}

// What makes an element one of its set: a bitmap has one place an address.
std::string KeyOf(const IpSet& set, const IpSetElement& e) {
  return set.type == "bitmap:ip,mac" ? e.addresses[0].ToString()
                                     : PrintIpsetElement(set, e);
}

// An element of a bitmap:ip,mac without its MAC address waits for it; until
// then its timeout does not run, and counts as over (ip_set_bitmap_ipmac.c,
// mtype_add() of ip_set_bitmap_gen.h).
bool CountsAsOver(const IpSet& set, const IpSetElement& e) {
  return set.type == "bitmap:ip,mac" && !e.mac && e.timeout_s.value_or(0) != 0;
}

bool MayBeAddedAgain(const IpSet& set, const IpSetElement& old,
                     const IpSetElement& e) {
  return CountsAsOver(set, old) ||
         (set.type == "bitmap:ip,mac" && !old.mac && e.mac);
}

// `e` in the place of `old`: only what the command says is new, but timeout,
// comment, skbinfo and nomatch are always the command's (mtype_add() of
// ip_set_hash_gen.h, ip_set_init_counter() of ip_set.h).
IpSetElement Merged(const IpSetElement& old, const IpSetElement& e,
                    const IpSetTable::Addition& addition) {
  IpSetElement merged = e;
  if (!addition.packets) merged.packets = old.packets;
  if (!addition.bytes) merged.bytes = old.bytes;
  if (!e.mac) merged.mac = old.mac;
  merged.wildcard = old.wildcard;
  return merged;
}

// Dump format but for what a kernel chose itself.
std::string Creation(IpSet set) {
  set.bucket_size.reset();
  set.initial_value.reset();
  return PrintIpsetCreate(set);
}

// What a swap compares: what the types look at, not how they keep it
// (ip_set_swap() of ip_set_core.c).
bool MaySwap(const IpSet& a, const IpSet& b) {
  auto features = [](const IpSet& set) {
    std::vector<std::pair<IpSetDimension, int>> out;
    bool nets = false;
    int addresses = 0;
    for (IpSetDimension d : IpSetDimensions(set.type)) {
      nets |= d == IpSetDimension::kNet;
      if (d == IpSetDimension::kNet) d = IpSetDimension::kIp;
      if (d == IpSetDimension::kPlainPort) d = IpSetDimension::kPort;
      out.emplace_back(d, d == IpSetDimension::kIp ? addresses++ : 0);
    }
    std::sort(out.begin(), out.end());
    return std::make_pair(out, nets);
  };
  return a.family == b.family && features(a) == features(b);
}

}  // namespace

// The networks that hold an address are asked from the longest on, a network
// only for itself (mtype_test() of ip_set_hash_gen.h).
const IpSetElement* IpSetTable::Loaded::Match(const IpSetElement& e) const {
  const std::vector<IpSetDimension> dimensions = IpSetDimensions(set.type);
  const bool nets = std::count(dimensions.begin(), dimensions.end(),
                               IpSetDimension::kNet) == 1;
  size_t net = 0;
  for (const IpSetDimension d : dimensions) {
    if (d == IpSetDimension::kNet) break;
    net += d == IpSetDimension::kIp ? 1 : 0;
  }
  IpSetElement wanted = e;
  const int bits = set.family == IpFamily::kIpv4 ? 32 : 128;
  const bool widens = nets && e.prefix_lengths[net] == bits;
  for (int length = widens ? bits : 0; length >= 0; --length) {
    if (widens) {
      wanted.prefix_lengths[net] = static_cast<uint8_t>(length);
      wanted.addresses[net] =
          IpPrefix(e.addresses[net], length).Masked().address();
    }
    const auto found = index.find(KeyOf(set, wanted));
    if (found != index.end()) return &*found->second;
  }
  return nullptr;
}

const IpSet* IpSetTable::Find(absl::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &slots_[found->second]->set;
}

bool IpSetTable::Create(IpSet set, bool exist, std::string* why) {
  if (const IpSet* there = Find(set.name)) {
    if (exist && Creation(*there) == Creation(set)) return true;
    return Because(why, "set `", set.name, "' exists already");
  }
  auto loaded = std::make_unique<Loaded>();
  loaded->set = std::move(set);
  const auto free = std::find(slots_.begin(), slots_.end(), nullptr);
  by_name_[loaded->set.name] = free - slots_.begin();
  if (free == slots_.end()) {
    slots_.push_back(std::move(loaded));
  } else {
    *free = std::move(loaded);
  }
  return true;
}

bool IpSetTable::Add(absl::string_view set, const Addition& addition,
                     bool exist, std::string* why) {
  Loaded* const to = Get(set, why);
  if (to == nullptr) return false;
  for (const IpSetElement& e : addition.elements) {
    if (!AddOne(to, addition, e, exist, why)) return false;
  }
  return true;
}

bool IpSetTable::AddOne(Loaded* to, const Addition& addition,
                        const IpSetElement& e, bool exist, std::string* why) {
  const IpSet& set = to->set;
  std::string key = KeyOf(set, e);
  if (const auto old = to->index.find(key); old != to->index.end()) {
    if (!exist && !MayBeAddedAgain(set, *old->second, e)) {
      return Because(why, key, " is in set ", set.name, " already");
    }
    *old->second = Merged(*old->second, e, addition);
    return true;
  }
  if (set.is_hash() && to->elements.size() >= set.max_elements) {
    return Because(why, "set is full");
  }
  auto at = to->elements.end();
  if (!addition.before.empty() || !addition.after.empty()) {
    const std::string& anchor =
        addition.before.empty() ? addition.after : addition.before;
    const auto found = to->index.find(anchor);
    if (found == to->index.end()) {
      return Because(why, "no member `", anchor, "' in set ", set.name);
    }
    at = found->second;
    if (addition.before.empty()) ++at;
  }
  to->index[std::move(key)] = to->elements.insert(at, e);
  ++size_;
  return true;
}

bool IpSetTable::Delete(absl::string_view set,
                        const std::vector<IpSetElement>& elements, bool exist,
                        std::string* why) {
  Loaded* const from = Get(set, why);
  if (from == nullptr) return false;
  for (const IpSetElement& e : elements) {
    const std::string key = KeyOf(from->set, e);
    const auto found = from->index.find(key);
    const bool there =
        found != from->index.end() && !CountsAsOver(from->set, *found->second);
    if (found != from->index.end()) {
      from->elements.erase(found->second);
      from->index.erase(found);
      --size_;
    }
    if (!there && !exist) return Because(why, key, " is not in set ", set);
  }
  return true;
}

bool IpSetTable::Test(absl::string_view set,
                      const std::vector<IpSetElement>& elements,
                      std::string* why) const {
  const Loaded* const in = Get(set, why);
  if (in == nullptr) return false;
  for (const IpSetElement& e : elements) {
    const IpSetElement* const found = in->Match(e);
    if (found == nullptr || CountsAsOver(in->set, *found) ||
        e.nomatch != found->nomatch || (e.mac && e.mac != found->mac)) {
      return Because(why, KeyOf(in->set, e), " is not in set ", set);
    }
  }
  return true;
}

bool IpSetTable::Flush(absl::string_view set, std::string* why) {
  Loaded* const flushed = Get(set, why);
  if (flushed == nullptr) return false;
  Clear(flushed);
  return true;
}

void IpSetTable::FlushAll() {
  for (const auto& slot : slots_) {
    if (slot != nullptr) Clear(slot.get());
  }
}

bool IpSetTable::Destroy(absl::string_view set, bool exist, std::string* why) {
  if (exist && Find(set) == nullptr) return true;
  Loaded* const destroyed = Get(set, why);
  if (destroyed == nullptr) return false;
  if (IsMember(set)) return Because(why, "set `", set, "' is in use");
  Clear(destroyed);
  const auto found = by_name_.find(set);
  slots_[found->second] = nullptr;
  by_name_.erase(found);
  return true;
}

bool IpSetTable::DestroyAll(std::string* why) {
  for (const auto& slot : slots_) {
    if (slot != nullptr && slot->set.is_list() && !slot->elements.empty()) {
      return Because(why, "set `", slot->elements.front().set, "' is in use");
    }
  }
  slots_.clear();
  by_name_.clear();
  size_ = 0;
  return true;
}

bool IpSetTable::Rename(absl::string_view set, absl::string_view to,
                        std::string* why) {
  Loaded* const renamed = Get(set, why);
  if (renamed == nullptr) return false;
  if (Find(to) != nullptr) {
    return Because(why, "set `", to, "' exists already");
  }
  if (IsMember(set)) return Because(why, "set `", set, "' is in use");
  const auto found = by_name_.find(set);
  const size_t slot = found->second;
  by_name_.erase(found);
  renamed->set.name = std::string(to);
  by_name_[renamed->set.name] = slot;
  return true;
}

bool IpSetTable::Swap(absl::string_view a, absl::string_view b,
                      std::string* why) {
  Loaded* const one = Get(a, why);
  Loaded* const other = one == nullptr ? nullptr : Get(b, why);
  if (other == nullptr) return false;
  if (!MaySwap(one->set, other->set)) {
    return Because(why, "sets of different types cannot be swapped");
  }
  std::swap(*one, *other);
  std::swap(one->set.name, other->set.name);
  return true;
}

IpSets IpSetTable::Take() && {
  IpSets sets;
  // Lists come after the sets that are their members.
  for (const bool lists : {false, true}) {
    for (const auto& slot : slots_) {
      if (slot == nullptr || slot->set.is_list() != lists) continue;
      IpSet& set = slot->set;
      set.elements.assign(std::make_move_iterator(slot->elements.begin()),
                          std::make_move_iterator(slot->elements.end()));
      if (set.is_bitmap()) {
        std::sort(set.elements.begin(), set.elements.end(),
                  [](const IpSetElement& x, const IpSetElement& y) {
                    return x.port != y.port ? x.port < y.port
                                            : x.addresses[0] < y.addresses[0];
                  });
      }
      sets.sets.push_back(std::move(set));
    }
  }
  return sets;
}

IpSetTable::Loaded* IpSetTable::Get(absl::string_view name,
                                    std::string* why) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return slots_[found->second].get();
  Because(why, "no set `", name, "'");
  return nullptr;
}

bool IpSetTable::IsMember(absl::string_view name) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const auto& slot) {
    return slot != nullptr && slot->set.is_list() && slot->index.contains(name);
  });
}

void IpSetTable::Clear(Loaded* set) {
  size_ -= set->elements.size();
  set->elements.clear();
  set->index.clear();
}

}  // namespace k8sdns::netfilter
