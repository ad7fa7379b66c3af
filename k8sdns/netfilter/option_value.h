// The texts that options of matches and targets take (numbers, ports, marks,
// addresses, ...), read as libxtables 1.8.9 reads them and written as
// iptables-save writes them. Internal to the room.
//
// Readers return false for a text that libxtables refuses, and leave the
// output unspecified. Writers append to a string.
#ifndef K8SDNS_NETFILTER_OPTION_VALUE_H_
#define K8SDNS_NETFILTER_OPTION_VALUE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"
#include "k8sdns/netfilter/match_ops.h"

namespace k8sdns::netfilter {

// strtoumax(3) with `base` (0: 0x is hexadecimal, a leading 0 octal), refusing
// a minus sign and values outside of min..max. With `used`, text may follow.
bool ReadNumber(absl::string_view text, int base, uint64_t min, uint64_t max,
                uint64_t* value, size_t* used = nullptr);

// sscanf("%llu"): a minus sign wraps, too much saturates, text may follow.
bool ScanCounter(absl::string_view* text, uint64_t* value);

// strtod(3), all of the text.
bool ReadDouble(absl::string_view text, double* value);

// A number in C notation or a service name of `protocol` ("" for any), as
// xtables_parse_port().
bool ReadPort(absl::string_view text, absl::string_view protocol,
              uint16_t* port);
// A decimal number or a service name of any protocol, as getaddrinfo(3).
bool ReadServicePort(absl::string_view text, uint16_t* port);
// "a", "a:b", ":b", "a:", names allowed, as XTTYPE_PORTRC. The second may be
// the smaller one.
bool ReadServicePortRange(absl::string_view text, PortRange* range);

// A protocol number or name; `name` is in lower case.
bool ReadProtocol(absl::string_view name, uint8_t* protocol);
// The name that iptables-save prints; "" if it prints the number.
absl::string_view SavedProtocolName(uint8_t protocol);

// "value" or "value/mask".
bool ReadMarkMask(absl::string_view text, uint32_t* value, uint32_t* mask);
// "0x1", "0x1/0xff".
void AppendMarkMask(uint32_t value, uint32_t mask, std::string* out);

// One to four parts separated by dots; missing ones are 0 ("10" is 10.0.0.0).
bool ReadIpv4Sloppy(absl::string_view text, uint32_t* address);
// An address as getaddrinfo(3) takes it; names other than addresses are
// refused.
bool ReadHost(IpFamily family, absl::string_view text, uint32_t (&words)[4]);
// A prefix length or a mask.
bool ReadMask(IpFamily family, absl::string_view text, AddressMask* mask);
// -s and -d: "address", "address/length", "address/mask". Host bits are
// cleared.
bool ReadAddressMask(IpFamily family, absl::string_view text, AddressMask* out);
// The argument of an option of type HOSTMASK. Host bits stay.
bool ReadHostMask(IpFamily family, absl::string_view text, AddressMask* out);
// The prefix length of a mask in words; kExplicitMask if it is none.
uint8_t PrefixLength(IpFamily family, const uint32_t (&mask)[4]);
void ApplyMask(IpFamily family, AddressMask* match);

bool ReadMac(absl::string_view text, uint8_t (&mac)[6]);

// Numbers of Debian's base users and groups, or a name of theirs.
std::optional<uint32_t> FindUser(absl::string_view name);
std::optional<uint32_t> FindGroup(absl::string_view name);
// A port of Debian's /etc/services; protocol "" for any.
std::optional<uint16_t> FindService(absl::string_view name,
                                    absl::string_view protocol);

void AppendAddress(IpFamily family, const uint32_t (&words)[4],
                   std::string* out);
void AppendAddress(IpFamily family, const Packed<uint32_t> (&words)[4],
                   std::string* out);
// "/24", or "/255.0.255.0".
void AppendMask(IpFamily family, const AddressMask& match, std::string* out);
void AppendNumber(uint64_t value, std::string* out);
void AppendHex(uint64_t value, std::string* out);  // without 0x

// " value", or quoted and escaped where xtables_save_string() does.
void AppendQuoted(absl::string_view value, std::string* out);

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_OPTION_VALUE_H_
