#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "k8sdns/netfilter/icmp_names.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/option_value.h"

namespace k8sdns::netfilter {
namespace {

void AppendPort(const IpSet& set, const IpSetElement& e, std::string* out) {
  const absl::string_view name = SavedProtocolName(e.protocol);
  if (name.empty()) {
    absl::StrAppend(out, int{e.protocol});
  } else {
    absl::StrAppend(out, name);
  }
  out->push_back(':');
  if (e.protocol != 1 && e.protocol != 58) {
    absl::StrAppend(out, e.port);
    return;
  }
  const absl::string_view icmp = IcmpName(set.family, e.port);
  if (icmp.empty()) {
    absl::StrAppend(out, e.port >> 8, "/", e.port & 255);
  } else {
    absl::StrAppend(out, icmp);
  }
}

void PrintSet(const IpSet& set, std::string* out) {
  absl::StrAppend(out, PrintIpsetCreate(set), "\n");
  for (const IpSetElement& e : set.elements) {
    absl::StrAppend(out, "add ", set.name, " ", PrintIpsetElement(set, e));
    if (e.timeout_s) absl::StrAppend(out, " timeout ", *e.timeout_s);
    if (e.nomatch) *out += " nomatch";
    if (e.wildcard) *out += " wildcard";
    if (set.counters) {
      absl::StrAppend(out, " packets ", e.packets, " bytes ", e.bytes);
    }
    if (!e.comment.empty()) {
      absl::StrAppend(out, " comment \"", e.comment, "\"");
    }
    if (!e.skb.empty()) absl::StrAppend(out, " ", e.skb);
    out->push_back('\n');
  }
}

}  // namespace

std::vector<IpSetDimension> IpSetDimensions(absl::string_view type) {
  if (type == "list:set") return {IpSetDimension::kSet};
  if (type == "bitmap:port") return {IpSetDimension::kPlainPort};
  const size_t colon = type.find(':');
  if (colon == absl::string_view::npos) return {};
  const absl::string_view kind = type.substr(0, colon);
  if (kind != "hash" && kind != "bitmap") return {};
  std::vector<IpSetDimension> out;
  for (absl::string_view part : absl::StrSplit(type.substr(colon + 1), ',')) {
    if (part == "ip") {
      out.push_back(IpSetDimension::kIp);
    } else if (part == "net") {
      out.push_back(IpSetDimension::kNet);
    } else if (part == "port") {
      out.push_back(IpSetDimension::kPort);
    } else if (part == "mark") {
      out.push_back(IpSetDimension::kMark);
    } else if (part == "iface") {
      out.push_back(IpSetDimension::kInterface);
    } else if (part == "mac") {
      out.push_back(IpSetDimension::kMac);
    } else {
      return {};
    }
  }
  return out;
}

const IpSet* IpSets::Find(absl::string_view name) const {
  for (const IpSet& s : sets) {
    if (s.name == name) return &s;
  }
  return nullptr;
}
IpSet* IpSets::Find(absl::string_view name) {
  for (IpSet& s : sets) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

std::string PrintIpsetElement(const IpSet& set, const IpSetElement& e) {
  std::string out;
  int address = 0;
  bool first = true;
  for (IpSetDimension d : IpSetDimensions(set.type)) {
    if (d == IpSetDimension::kMac && !e.mac) continue;  // bitmap:ip,mac
    if (!first) out.push_back(',');
    first = false;
    switch (d) {
      case IpSetDimension::kIp:
      case IpSetDimension::kNet: {
        const IpAddress& a = e.addresses[address];
        absl::StrAppend(&out, a.ToString());
        if (d == IpSetDimension::kNet &&
            e.prefix_lengths[address] != a.bits()) {
          absl::StrAppend(&out, "/", int{e.prefix_lengths[address]});
        }
        ++address;
        break;
      }
      case IpSetDimension::kPort:
        AppendPort(set, e, &out);
        break;
      case IpSetDimension::kPlainPort:
        absl::StrAppend(&out, e.port);
        break;
      case IpSetDimension::kMark:
        absl::StrAppendFormat(&out, "0x%08x", e.mark);
        break;
      case IpSetDimension::kInterface:
        absl::StrAppend(&out, e.physdev ? "physdev:" : "", e.interface);
        break;
      case IpSetDimension::kMac:
        for (int i = 0; i < 6; ++i) {
          absl::StrAppendFormat(&out, "%s%02X", i == 0 ? "" : ":", (*e.mac)[i]);
        }
        break;
      case IpSetDimension::kSet:
        absl::StrAppend(&out, e.set);
        break;
    }
  }
  return out;
}

std::string PrintIpsetCreate(const IpSet& set) {
  std::string out = absl::StrCat("create ", set.name, " ", set.type);
  const bool plain_ip = set.type == "hash:ip" || set.is_bitmap();
  auto masks = [&] {
    if (set.netmask != 0) absl::StrAppend(&out, " netmask ", int{set.netmask});
    if (set.bitmask) {
      absl::StrAppend(&out, " bitmask ", set.bitmask->ToString());
    }
  };
  if (set.is_hash()) {
    absl::StrAppend(&out, " family ",
                    set.family == IpFamily::kIpv4 ? "inet" : "inet6");
    if (set.mark_mask != 0xffffffff) {
      absl::StrAppendFormat(&out, " markmask 0x%08x", set.mark_mask);
    }
    absl::StrAppend(&out, " hashsize ", set.hash_size, " maxelem ",
                    set.max_elements);
  } else if (set.is_list()) {
    absl::StrAppend(&out, " size ", set.list_size);
  } else if (set.type == "bitmap:port") {
    absl::StrAppend(&out, " range ", set.range_first, "-", set.range_last);
  } else {
    absl::StrAppend(&out, " range ", IpAddress::V4(set.range_first).ToString(),
                    "-", IpAddress::V4(set.range_last).ToString());
  }
  if (plain_ip) masks();
  if (set.timeout_s) absl::StrAppend(&out, " timeout ", *set.timeout_s);
  if (set.counters) out += " counters";
  if (set.comments) out += " comment";
  if (set.skbinfo) out += " skbinfo";
  if (set.bucket_size) absl::StrAppend(&out, " bucketsize ", *set.bucket_size);
  if (set.initial_value) {
    absl::StrAppendFormat(&out, " initval 0x%08x", *set.initial_value);
  }
  if (!plain_ip) masks();
  return out;
}

std::string PrintIpsetSave(const IpSets& sets) {
  std::string out;
  // Lists come last: their members have to be there.
  for (const bool lists : {false, true}) {
    for (const IpSet& set : sets.sets) {
      if (set.is_list() == lists) PrintSet(set, &out);
    }
  }
  return out;
}

}  // namespace k8sdns::netfilter
