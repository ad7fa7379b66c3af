// The ipsets of a kernel while commands change them. Internal to the room.
//
// A command costs what it names, not the size of the set; only deleting a set
// that is a member of lists asks each list. Facts: Linux 6.18
// (net/netfilter/ipset), ipset 7.17.
#ifndef K8SDNS_NETFILTER_IPSET_TABLE_H_
#define K8SDNS_NETFILTER_IPSET_TABLE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/ipset_save.h"

namespace k8sdns::netfilter {

// Functions that can fail say why and return false; the table may then be
// half changed, and is to be thrown away.
class IpSetTable {
 public:
  // Elements to add to one set.
  struct Addition {
    std::vector<IpSetElement> elements;
    // What the command says; an element that is there keeps the rest.
    bool packets = false;
    bool bytes = false;
    // Of a list:set: the member beside which the new one goes.
    std::string before;
    std::string after;
  };

  // How a set was made, without its elements; nullptr: not there.
  const IpSet* Find(absl::string_view name) const;
  // Elements of all sets.
  size_t size() const { return size_; }

  // `exist`: what is there already, or is not there to go, is no error.
  bool Create(IpSet set, bool exist, std::string* why);
  bool Add(absl::string_view set, const Addition& addition, bool exist,
           std::string* why);
  bool Delete(absl::string_view set, const std::vector<IpSetElement>& elements,
              bool exist, std::string* why);
  bool Test(absl::string_view set, const std::vector<IpSetElement>& elements,
            std::string* why) const;
  bool Flush(absl::string_view set, std::string* why);
  void FlushAll();
  bool Destroy(absl::string_view set, bool exist, std::string* why);
  bool DestroyAll(std::string* why);
  bool Rename(absl::string_view set, absl::string_view to, std::string* why);
  bool Swap(absl::string_view a, absl::string_view b, std::string* why);

  // What `ipset save` would print, in its order.
  IpSets Take() &&;

 private:
  using Elements = std::list<IpSetElement>;
  struct Loaded {
    IpSet set;
    Elements elements;
    // By what makes an element one of its set.
    absl::flat_hash_map<std::string, Elements::iterator> index;

    // The element that holds `e`; nullptr: none.
    const IpSetElement* Match(const IpSetElement& e) const;
  };

  Loaded* Get(absl::string_view name, std::string* why) const;
  bool IsMember(absl::string_view name) const;
  bool AddOne(Loaded* to, const Addition& addition, const IpSetElement& e,
              bool exist, std::string* why);
  void Clear(Loaded* set);

  // A new set takes the first place that is free, as the kernel's array has
  // it; a dump is in this order.
  std::vector<std::unique_ptr<Loaded>> slots_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  size_t size_ = 0;
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_IPSET_TABLE_H_
