# Reads the cc_library rules of Bazel's BUILD files. They are written plainly
# (lists of strings, no macros, no select), which the whole repository holds to.

# Labels are parts of variable names here, so they are written without : and @:
# //k8sdns/net+net, external/com_google_absl//absl/strings+strings.

# k8sdns_read_build(FOLDER): for each cc_library of FOLDER/BUILD.bazel appends
# its label to k8sdns_labels and sets, in the caller's scope, LABEL_srcs and LABEL_hdrs (paths from the root), LABEL_deps
# (full labels), LABEL_private and LABEL_testonly.
macro(k8sdns_read_build folder)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/BUILD.bazel)
  file(READ ${folder}/BUILD.bazel build_text)
  string(REGEX REPLACE "#[^\n]*" "" build_text "${build_text}")
  string(REPLACE "\n)" ";" build_rules "${build_text}")
  foreach(rule IN LISTS build_rules)
    if(rule MATCHES "cc_library\\(")
      k8sdns_string_attribute(name "${rule}")
      set(label //${folder}+${name})
      list(APPEND k8sdns_labels ${label})
      set(${label}_folder ${folder})
      k8sdns_list_attribute(srcs "${rule}")
      k8sdns_list_attribute(hdrs "${rule}")
      k8sdns_list_attribute(deps "${rule}")
      list(TRANSFORM srcs PREPEND ${folder}/)
      list(TRANSFORM hdrs PREPEND ${folder}/)
      set(${label}_srcs ${srcs})
      set(${label}_hdrs ${hdrs})
      set(${label}_deps "")
      foreach(dep IN LISTS deps)
        k8sdns_full_label("${dep}" ${folder})
        list(APPEND ${label}_deps ${dep})
      endforeach()
      set(${label}_private OFF)
      if(rule MATCHES "visibility = \\[\"//visibility:private\"")
        set(${label}_private ON)
      endif()
      set(${label}_testonly OFF)
      if(rule MATCHES "testonly = True")
        set(${label}_testonly ON)
      endif()
    endif()
  endforeach()
endmacro()

# Sets the variable `attribute` to the attribute of that name.
macro(k8sdns_string_attribute attribute rule)
  string(REGEX MATCH "[ \n(]${attribute} = \"([^\"]*)\"" matched "${rule}")
  set(${attribute} "${CMAKE_MATCH_1}")
endmacro()

macro(k8sdns_list_attribute attribute rule)
  set(${attribute} "")
  string(REGEX MATCH "[ \n(]${attribute} = .([^]]*)." matched "${rule}")
  if(matched)
    string(REGEX MATCHALL "\"[^\"]*\"" ${attribute} "${CMAKE_MATCH_1}")
    list(TRANSFORM ${attribute} REPLACE "\"" "")
  endif()
endmacro()

# Sets `dep` to the label with package and name: //a/b and :c become //a/b+b
# and //FOLDER+c.
macro(k8sdns_full_label label folder)
  set(dep "${label}")
  if(dep MATCHES "^:")
    set(dep "//${folder}${dep}")
  elseif(NOT dep MATCHES ":")
    if(dep MATCHES "^@[^/]*$")
      string(REGEX REPLACE "^@(.*)$" "@\\1//:\\1" dep "${dep}")
    else()
      string(REGEX REPLACE "/([^/]+)$" "/\\1:\\1" dep "${dep}")
    endif()
  endif()
  string(REPLACE ":" "+" dep "${dep}")
  string(REPLACE "@" "external/" dep "${dep}")
endmacro()

# Bazel's label of each Abseil library -> its pkg-config module, from the table
# that Bazel itself uses: sets module_of_external/com_google_absl//absl/PACKAGE+NAME.
macro(k8sdns_read_abseil_table)
  file(STRINGS third_party/abseil.bzl table_lines REGEX "^    +\"")
  foreach(line IN LISTS table_lines)
    if(line MATCHES "^    \"([^\"]*)\": {")
      set(package ${CMAKE_MATCH_1})
    elseif(line MATCHES "^        \"([^\"]*)\": \"([^\"]*)\"")
      set(module_of_external/com_google_absl//absl/${package}+${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
    endif()
  endforeach()
endmacro()
