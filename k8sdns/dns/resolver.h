// What a resolver library sends to its name servers for one call, and what the
// call returns: exact queries, in order, on a simulated clock.
//
//   ResolverHost pod;
//   pod.resolv_conf = ResolvConf("nameserver 10.96.0.10\n"
//                                "search default.svc.cluster.local\n"
//                                "options ndots:5\n");
//   LookupCall call;
//   call.name = "web";
//   LookupTranscript t = Resolve(call, pod, Library::kMusl1_2_5,
//       [](const Question& q) { return Answer::NxDomain(); });
//   // t.queries[0].ToString() is
//   //   "0 10.96.0.10 udp/0 A web.default.svc.cluster.local."
//
// No packet is sent. An AnswerSource stands for all servers; it is asked once
// for each query, in the order of sending, and its answer arrives at once. So
// time passes only where a library waits for an answer that does not come.
// Crashes and endless waits of the real libraries are results like others.
//
// Sources: glibc 2.36 resolv/res_send.c, res_query.c, nss_dns/dns-host.c,
// nss_files, sysdeps/posix/getaddrinfo.c; musl 1.1.24, 1.2.3 and 1.2.5
// src/network/{lookup_name,res_msend,res_mkquery,res_query}.c; Go 1.22 src/net.
// Assumed around them: `hosts: files dns` in nsswitch.conf, `multi on` in
// host.conf, no nscd, no HOSTALIASES, Go without cgo and with netedns0=0.
//
// Thread-safe; nothing is kept between calls.
#ifndef K8SDNS_DNS_RESOLVER_H_
#define K8SDNS_DNS_RESOLVER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

enum class LookupFunction {
  kGetaddrinfo,    // SOCK_STREAM, no flags, no service; Go: LookupIP
  kCanon,          // the same with AI_CANONNAME; not in Go
  kResSearch,      // res_search(3); not in Go
  kResQuery,       // res_query(3); not in Go
  kGethostbyname,  // not in Go
};

enum class LookupFamily { kUnspec, kInet, kInet6 };

// Types that libraries treat in a special way; any 16-bit number is a type.
inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypeCname = 5;
inline constexpr uint16_t kTypeAaaa = 28;
// "A", "SRV", ..., or "TYPE65280" for a type without a name.
std::string QueryTypeName(uint16_t type);
// The inverse, regardless of case; nullopt for anything else.
std::optional<uint16_t> ParseQueryType(absl::string_view name);

struct LookupCall {
  LookupFunction function = LookupFunction::kGetaddrinfo;
  LookupFamily family = LookupFamily::kUnspec;  // kGetaddrinfo and kCanon
  uint16_t type = kTypeA;                       // kResSearch and kResQuery
  std::string name;                             // as the program passes it
  // The call is made so often in one process, one after the other.
  int repeat = 1;
};

// One interface address and the prefix it is on.
struct HostAddress {
  IpAddress address;
  int prefix_length = 32;
};

// The machine (or Pod) that resolves.
struct ResolverHost {
  ResolvConf resolv_conf;
  ResolverEnvironment environment;
  std::string hosts = "127.0.0.1 localhost\n";  // /etc/hosts
  // For the order of results (RFC 6724): what a connected socket would use as
  // its source. Loopback is implied. The first address of a family is the
  // source for its default route.
  std::vector<HostAddress> addresses;
  bool default_route_v4 = true;
  bool default_route_v6 = false;
  // `rotate` starts at a random server in glibc: the number that was drawn.
  uint32_t rotate_start = 0;
  // When an observer loses patience: a call that still waits then "hangs".
  absl::Duration patience = absl::InfiniteDuration();
};

enum class Transport { kUdp, kTcp };

struct QueryFlags {
  std::optional<int> edns_size;
  bool ad = false;

  friend bool operator==(const QueryFlags&, const QueryFlags&) = default;
};

// What an AnswerSource is asked.
struct Question {
  IpAddress server;
  Transport transport = Transport::kUdp;
  uint16_t type = kTypeA;
  // Absolute, with the final dot; bytes outside printable ASCII, dots within
  // labels, quotes and backslashes as \ddd.
  std::string name;
  // This is the nth query (from 1) that the server gets over this transport
  // with this name (in lower case) and type.
  int nth = 1;
  QueryFlags flags;
};

struct AnswerRecord {
  std::string owner;  // like Question::name
  uint16_t type = kTypeA;
  IpAddress address;   // A, AAAA
  std::string target;  // CNAME
  // Bytes of data, for the size of the message. 0: 4 for A, 16 for AAAA, the
  // length of the target for CNAME.
  int data_size = 0;
};

// What comes back for a query.
struct Answer {
  enum class Fate {
    kReply,
    kNoReply,      // lost, dropped, or never answered
    kUnreachable,  // refused at once: ICMP error or TCP reset
  };
  Fate fate = Fate::kReply;
  int rcode = 0;
  bool authoritative = false;
  bool recursion_available = true;
  bool truncated = false;  // the TC bit
  std::vector<AnswerRecord> records;
  // Records outside the answer section: OPT, SOA of a negative answer.
  int additional_records = 0;
  int authority_records = 0;

  static Answer Timeout();
  static Answer Unreachable();
  static Answer WithRcode(int rcode);
  static Answer NxDomain() { return WithRcode(3); }
  static Answer ServFail() { return WithRcode(2); }
  static Answer NoData() { return WithRcode(0); }
  // NOERROR, nothing in it, neither AA nor RA: a referral to nowhere.
  static Answer Lame();
  // The addresses of the family that is asked for, behind `cname` unless it is
  // empty. No addresses: NOERROR with the CNAME alone, or without records.
  static Answer Addresses(const Question& question,
                          const std::vector<IpAddress>& addresses,
                          absl::string_view cname = "");
  // TC over UDP and without records; the addresses over TCP.
  static Answer Truncated(const Question& question,
                          const std::vector<IpAddress>& addresses);
};

using AnswerSource = std::function<Answer(const Question&)>;

// A query as it leaves the host.
struct SentQuery {
  absl::Duration time;  // since the first query
  IpAddress server;
  Transport transport = Transport::kUdp;
  // Numbers the client's sockets in order of appearance: queries with one
  // number share a source port.
  int socket = 0;
  uint16_t type = kTypeA;
  std::string name;  // like Question::name
  QueryFlags flags;
  // Not empty: the question section, in hex, if it cannot be read. The name is
  // empty then, and the server answers FORMERR without a question.
  std::string malformed;

  // "0 10.96.0.10 udp/0 A web.": seconds rounded to a half, server, transport
  // and socket, type, name, flags.
  std::string ToString() const;
};

struct LookupResult {
  // The name of the EAI_ code (kGetaddrinfo, kCanon) or of h_errno (the
  // others), "OK" for success. Go: "OK", "not-found", "timeout", "temporary",
  // "error". "killed by signal N" and "hangs" are what they say.
  std::string rc;
  std::vector<IpAddress> addresses;  // in the order returned
  // Set where the library sets it: always by musl, by glibc if asked.
  std::optional<std::string> canonical_name;
  std::string message;  // Go's error text
  // The header that res_search and res_query return on success.
  std::optional<int> rcode;
  std::optional<int> answer_count;

  friend bool operator==(const LookupResult&, const LookupResult&) = default;
};

struct LookupTranscript {
  std::vector<SentQuery> queries;
  // One for each repetition, up to the one that kills the process.
  std::vector<LookupResult> results;
  absl::Duration elapsed;  // `patience` if a call hangs
  // The real library draws lots or races here (rotate; servers or types asked
  // at the same time, with different fates): other orders are possible.
  bool order_varies = false;

  // Packets on the wire if nothing is lost: each query and each answer counts
  // one over UDP; a TCP connection costs ten (handshake, query, answer and its
  // acknowledgements, close).
  int PacketCount() const;
  // The queries, a line each, then a line "= rc addresses".
  std::string ToString() const;
};

// A call that the library does not offer (anything but kGetaddrinfo in Go)
// gives one result with rc "unsupported".
LookupTranscript Resolve(const LookupCall& call, const ResolverHost& host,
                         Library library, const AnswerSource& answers);

// How many queries a lookup costs until `absolute_name` (with or without final
// dot) is found, when it alone exists, with both families: what `ndots` and a
// long search list cost. Negative answers come from the first server.
struct QueryAmplification {
  int queries = 0;  // all that are sent
  int needed = 0;   // what the absolute name alone costs
  bool found = false;
};
QueryAmplification CountAmplification(absl::string_view name,
                                      absl::string_view absolute_name,
                                      const ResolverHost& host,
                                      Library library);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_RESOLVER_H_
