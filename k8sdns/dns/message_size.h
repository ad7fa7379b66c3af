// The size of a reply in bytes, and how servers cut it down to what the client
// takes. Private to k8sdns/dns. The name compression is that of the Go library
// that both cluster DNS servers use (github.com/miekg/dns): case-sensitive, no
// compression inside SRV data, though those names can be pointed to.
#ifndef K8SDNS_DNS_MESSAGE_SIZE_H_
#define K8SDNS_DNS_MESSAGE_SIZE_H_

#include <cstddef>

#include "k8sdns/dns/message.h"

namespace k8sdns::dns {

enum class Compression { kOff, kOn };

size_t MessageSize(const DnsQuestion& question, const DnsResponse& response,
                   Compression compression);

// CoreDNS 1.12: drops records from the end, first of the additional section,
// until the message fits; whatever is lost sets the TC bit. Also echoes an OPT
// record.
void FitAsCoreDns(const DnsQuestion& question, DnsResponse& response);

// kube-dns (SkyDNS): drops the additional section, and over UDP then answers,
// found by bisection. `compression` is what the message was made with.
void FitAsSkyDns(const DnsQuestion& question, Compression compression,
                 DnsResponse& response);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_MESSAGE_SIZE_H_
