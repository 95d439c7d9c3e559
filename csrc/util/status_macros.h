// Passing failures up.

#ifndef TENSORBUNDLE_UTIL_STATUS_MACROS_H_
#define TENSORBUNDLE_UTIL_STATUS_MACROS_H_

#include <utility>

#include "tensorbundle/status.h"

#define TENSORBUNDLE_CONCAT_INNER(a, b) a##b
#define TENSORBUNDLE_CONCAT(a, b) TENSORBUNDLE_CONCAT_INNER(a, b)

// Returns the status of `expression` from the calling function unless it is ok.
#define RETURN_IF_ERROR(expression)                              \
  do {                                                           \
    ::tensorbundle::Status status_of_expression = (expression);  \
    if (!status_of_expression.ok()) return status_of_expression; \
  } while (false)

// Moves the value of `expression`, a Result, into `target`, or returns its status from the calling function.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(TENSORBUNDLE_CONCAT(result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return std::move(result).status();     \
  target = std::move(result).value()

#endif  // TENSORBUNDLE_UTIL_STATUS_MACROS_H_
