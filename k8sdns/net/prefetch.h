// Asking for memory before it is read.
//
//   for (const Key& key : keys) PrefetchLine(table.Place(key));
//   for (const Key& key : keys) Use(table.Find(key));
//
// Speed only: it changes nothing, and any address will do. Thread-safe.
#ifndef K8SDNS_NET_PREFETCH_H_
#define K8SDNS_NET_PREFETCH_H_

namespace k8sdns {

// The cache line of an address.
inline void PrefetchLine(const void* address) {
  __builtin_prefetch(address);
  // GCC takes a function that does nothing but prefetch for one without
  // effect, and drops calls of it (seen with GCC 12 at -O2).
  asm volatile("" : : "r"(address));
}

}  // namespace k8sdns

#endif  // K8SDNS_NET_PREFETCH_H_
