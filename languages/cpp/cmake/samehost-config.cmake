include(CMakeFindDependencyMacro)
find_dependency(gRPC CONFIG)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/samehost-targets.cmake)
