// The parts of a rule: what it matches and what it does, as typed values.
//
//   AddressMask vip = ToAddressMask(*IpPrefix::Parse("10.96.0.10/32"));
//
// Every part ("op") is a small trivially copyable struct with a `kKind`. A rule
// is a sequence of ops in the order in which iptables-save prints them: the
// basic ones (-s -d -i -o -p -f), the matches (-m ...), at most one target.
// K8SDNS_OPS (op_kind.h) is the one list of them: the encoding, the parser, the
// printer, the matchers and the README's list of what is supported are all
// driven by it.
//
// The all-zero value of every field means "not given", and fields that are
// rarely given stand last: a stored op drops its trailing zero bytes, so that
// a rule costs what it says and no more.
//
// Numbers are in host order. Addresses are four words, the most significant
// first; IPv4 uses the first word only.
#ifndef K8SDNS_NETFILTER_OPS_H_
#define K8SDNS_NETFILTER_OPS_H_

#include <cstdint>

#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/match_ops.h"
#include "k8sdns/netfilter/op_kind.h"
#include "k8sdns/netfilter/target_ops.h"

namespace k8sdns::netfilter {

// ---- conversions ----

// Puts `address` into the words of an op.
void StoreAddress(const IpAddress& address, uint32_t (&words)[4]);
void StoreAddress(const IpAddress& address, Packed<uint32_t> (&words)[4]);
IpAddress LoadAddress(IpFamily family, const uint32_t (&words)[4]);
IpAddress LoadAddress(IpFamily family, const Packed<uint32_t> (&words)[4]);

// "-s prefix" / "-d prefix"; host bits are cleared, as iptables does.
AddressMask ToAddressMask(const IpPrefix& prefix, bool invert = false);
// The mask, also where it is a prefix length.
void LoadMask(IpFamily family, const AddressMask& match, uint32_t (&words)[4]);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_OPS_H_
