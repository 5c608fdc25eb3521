"""
Memory of kernels, as LLVM's text: the part of numba's runtime that arrays made inside a kernel need (``np.empty``, ``np.argsort``).

Arrays of callers come without an owner: they live longer than the call, and nobody counts their references. An array that a kernel
makes has an owner of 48 bytes and is freed with the last reference, so never kept by a result. Each owner is laid out as numba's
code expects it: references, two words that are unused here but for a list's clean-up, address, size, unused.
"""

from graphcore.compiled.table import at

UNCOUNTED = """
define void @NRT_incref(ptr %owner) alwaysinline { ret void }
define void @NRT_decref(ptr %owner) alwaysinline { ret void }
"""
"""For kernels that make no arrays: counting costs nothing."""

_COUNTED = """
define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %alignment) {{
  %wide = zext i32 %alignment to i64
  %owner = call ptr @scratch(i64 %size, i64 %wide, ptr null)
  ret ptr %owner
}}
define ptr @NRT_MemInfo_new_varsize_dtor(i64 %size, ptr %clean_up) {{
  %owner = call ptr @scratch(i64 %size, i64 16, ptr %clean_up)
  ret ptr %owner
}}
define ptr @scratch(i64 %size, i64 %alignment, ptr %clean_up) {{
  %more = add i64 %size, %alignment
  %room = add i64 %more, 48
  %allocate = load ptr, ptr {allocate}
  %owner = call ptr %allocate(i64 %room)
  %failed = icmp eq ptr %owner, null
  br i1 %failed, label %give, label %fill
fill:
  %begin = ptrtoint ptr %owner to i64
  %behind = add i64 %begin, 48
  %beyond = add i64 %behind, %alignment
  %mask = sub i64 0, %alignment
  %address = and i64 %beyond, %mask
  store i64 1, ptr %owner
  %words = getelementptr i64, ptr %owner, i64 1
  call void @llvm.memset.p0.i64(ptr %words, i8 0, i64 40, i1 false)
  %clean_up_at = getelementptr i64, ptr %owner, i64 2
  store ptr %clean_up, ptr %clean_up_at
  %address_at = getelementptr i64, ptr %owner, i64 3
  store i64 %address, ptr %address_at
  %size_at = getelementptr i64, ptr %owner, i64 4
  store i64 %size, ptr %size_at
  br label %give
give:
  ret ptr %owner
}}
define void @NRT_MemInfo_call_dtor(ptr %owner) {{
  %clean_up_at = getelementptr i64, ptr %owner, i64 2
  %clean_up = load ptr, ptr %clean_up_at
  %without = icmp eq ptr %clean_up, null
  br i1 %without, label %release, label %clean
clean:
  %address_at = getelementptr i64, ptr %owner, i64 3
  %address = load ptr, ptr %address_at
  call void %clean_up(ptr %address)
  br label %release
release:
  %free = load ptr, ptr {free}
  call void %free(ptr %owner)
  ret void
}}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)
"""


def counted(symbol: str) -> str:
    """Return what the kernel called ``symbol`` needs when it makes arrays."""
    return _COUNTED.format(allocate=at(symbol, "PyMem_RawMalloc"), free=at(symbol, "PyMem_RawFree"))
