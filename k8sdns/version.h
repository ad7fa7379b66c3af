// The version of the library. Semantic versioning (https://semver.org): within
// a major version, code that compiles against the public headers keeps
// compiling, and rule text for a given Dialect keeps its meaning. Before 1.0
// anything may change with the minor version.
#ifndef K8SDNS_VERSION_H_
#define K8SDNS_VERSION_H_

#define K8SDNS_VERSION_MAJOR 0
#define K8SDNS_VERSION_MINOR 1
#define K8SDNS_VERSION_PATCH 0
#define K8SDNS_VERSION "0.1.0"

#endif  // K8SDNS_VERSION_H_
