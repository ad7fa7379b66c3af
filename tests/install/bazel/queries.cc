// A program of its own that needs the component dns alone.
#include <iostream>

#include "k8sdns/dns/resolver.h"

int main() {
  using namespace k8sdns::dns;
  ResolverHost pod;
  pod.resolv_conf = ResolvConf(
      "nameserver 10.96.0.10\nsearch default.svc.cluster.local\n"
      "options ndots:5\n");
  LookupCall call;
  call.name = "web";
  call.family = LookupFamily::kInet;
  const LookupTranscript transcript =
      Resolve(call, pod, Library::kMusl1_2_5,
              [](const Question&) { return Answer::NxDomain(); });
  std::cout << transcript.ToString();
  return transcript.queries.size() == 2 ? 0 : 1;
}
