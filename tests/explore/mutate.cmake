# Copies `from` to `to` with the changes that `changes_file` calls for. Each text must occur exactly
# once, so that a mutant cannot silently become the original.
file(READ "${from}" content)

function(change old new)
  string(FIND "${content}" "${old}" first)
  string(FIND "${content}" "${old}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${from} does not hold exactly once:\n${old}")
  endif()
  string(REPLACE "${old}" "${new}" content "${content}")
  set(content "${content}" PARENT_SCOPE)
endfunction()

include("${changes_file}")
file(WRITE "${to}" "${content}")
