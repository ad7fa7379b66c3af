// Questions to a DNS server and its replies, as values.
//
//   DnsQuestion question;
//   question.name = "web.prod.svc.cluster.local.";
//   question.type = RecordType::kA;
//
// Names are texts with a final dot, in the presentation format of RFC 1035: a
// dot or backslash inside a label is escaped by a backslash, a byte outside
// printable ASCII is written \DDD. Case is kept.
#ifndef K8SDNS_DNS_MESSAGE_H_
#define K8SDNS_DNS_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// Any value of the registry can be held; these have names here.
enum class RecordType : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kHinfo = 13,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kNaptr = 35,
  kDs = 43,
  kRrsig = 46,
  kDnskey = 48,
  kSvcb = 64,
  kHttps = 65,
  kIxfr = 251,
  kAxfr = 252,
  kAny = 255,
  kCaa = 257,
};

// "AAAA"; "TYPE1234" (RFC 3597) if it has no name here.
std::string RecordTypeName(RecordType type);
// The reverse, in any case.
std::optional<RecordType> ParseRecordType(absl::string_view name);

enum class RecordClass : uint16_t { kIn = 1, kChaos = 3, kHesiod = 4 };

enum class Rcode : uint8_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
};

absl::string_view RcodeName(Rcode rcode);  // "NXDOMAIN"

enum class DnsTransport { kUdp, kTcp };

struct DnsQuestion {
  std::string name = ".";
  RecordType type = RecordType::kA;
  RecordClass klass = RecordClass::kIn;
  DnsTransport transport = DnsTransport::kUdp;
  // The size announced in an OPT record (EDNS(0)); unset: no OPT record.
  std::optional<uint16_t> edns_udp_size = std::nullopt;
  // The address that the server sees the question come from.
  IpAddress client = {};

  friend bool operator==(const DnsQuestion&, const DnsQuestion&) = default;
};

// The data of NS, CNAME and PTR records.
struct NameData {
  std::string name;
  friend bool operator==(const NameData&, const NameData&) = default;
};
struct SrvData {
  uint16_t priority = 0;
  uint16_t weight = 0;
  uint16_t port = 0;
  std::string target;
  friend bool operator==(const SrvData&, const SrvData&) = default;
};
struct SoaData {
  std::string mname;
  std::string rname;
  uint32_t serial = 0;
  uint32_t refresh = 0;  // seconds, as the next three
  uint32_t retry = 0;
  uint32_t expire = 0;
  uint32_t minimum = 0;
  friend bool operator==(const SoaData&, const SoaData&) = default;
};
struct TxtData {
  std::vector<std::string> strings;
  friend bool operator==(const TxtData&, const TxtData&) = default;
};

struct ResourceRecord {
  using Data = std::variant<IpAddress, NameData, SrvData, SoaData, TxtData>;

  std::string owner;
  uint32_t ttl = 0;  // seconds
  RecordType type = RecordType::kA;
  Data data;

  // "owner TTL TYPE data", as dig(1) prints it but for the class.
  std::string ToString() const;
  // The data alone.
  std::string DataToString() const;

  friend bool operator==(const ResourceRecord&,
                         const ResourceRecord&) = default;
};

struct DnsResponse {
  // kNoReply: the client waits in vain. That is what servers do with a reply
  // that they cannot encode, and where their own upstream does not answer.
  enum class Outcome { kReply, kNoReply };

  Outcome outcome = Outcome::kReply;
  Rcode rcode = Rcode::kNoError;
  bool authoritative = false;        // AA
  bool truncated = false;            // TC
  bool recursion_available = false;  // RA
  // The size in the reply's own OPT record; unset: none. The record is not
  // listed in `additional`.
  std::optional<uint16_t> edns_udp_size;
  std::vector<ResourceRecord> answer;
  std::vector<ResourceRecord> authority;
  std::vector<ResourceRecord> additional;
  // The server process ends after this reply (a bug of kube-dns).
  bool crashes_server = false;

  static DnsResponse NoReply() {
    DnsResponse response;
    response.outcome = Outcome::kNoReply;
    return response;
  }

  // For messages: "NOERROR aa; web.prod... 30 A 10.96.1.1; ...".
  std::string ToString() const;

  friend bool operator==(const DnsResponse&, const DnsResponse&) = default;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_MESSAGE_H_
